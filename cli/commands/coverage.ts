import { coverage as coverageOf } from '../../store/index.ts'
import { withStore } from '../hub/open.ts'
import type { Invocation } from '../main.ts'
import { formatTable } from '../terminal.ts'

/** `btfhub coverage`: what distributions offer against what the hub has, as of the last crawl. */
export async function coverage(
  options: { readonly data: string; readonly json: boolean },
  invocation: Invocation,
): Promise<void> {
  const { terminal } = invocation
  await withStore({ data: options.data }, invocation, async ({ catalog }) => {
    const rows = await coverageOf(catalog)
    if (options.json) {
      terminal.out(JSON.stringify(rows, null, 2))
      return
    }
    const columns = [
      'listed',
      'embedded',
      'dwarf',
      'other',
      'withoutEbpf',
      'missing',
      'failed',
      'gone',
    ] as const
    terminal.out(
      formatTable(
        [
          'DISTRO',
          'VERSION',
          'ARCH',
          'FLAVOUR',
          ...columns.map((name) => (name === 'withoutEbpf' ? 'NO EBPF' : name.toUpperCase())),
        ],
        rows.map((row) => [
          row.distro,
          row.version,
          row.arch,
          row.flavour,
          ...columns.map((name) => String(row[name])),
        ]),
      ),
    )
  })
}
