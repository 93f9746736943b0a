import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { packageRoot } from '../core/version.ts'
import { type ComparisonResult, median } from './measure.ts'
import { startNginx } from './nginx.ts'
import { shell } from './shell.ts'
import { serveCli } from '../test/helpers/cli.ts'

const BIN = join(packageRoot, 'bin/btfhub')
const RELEASE = '6.0.0-bench'
const CONNECTIONS = 32
const SECONDS = 4
const ROUNDS = 5

/** Requests per second of a min BTF by release, against nginx serving the same bytes from a file. */
export async function* benchRegistry(dir: string): AsyncGenerator<ComparisonResult> {
  const data = join(dir, 'hub')
  await shell(
    `make --silent -C ${join(packageRoot, 'examples/c')} OUT=${dir}/build
     node ${BIN} import /sys/kernel/btf/vmlinux --as debian/12/x86_64/${RELEASE} --data ${data}
     node ${BIN} tool add execwatch@1 ${dir}/build/execwatch.bpf.o --data ${data}`,
    dir,
  )
  const server = await serveCli(data)
  const files = join(dir, 'files')
  await mkdir(files)
  await shell(`curl -fsS -o ${files}/min.btf ${server.url}/v1/min/execwatch/${RELEASE}`, dir)
  const nginx = await startNginx(files, join(dir, 'nginx'))
  const tuned = await startNginx(files, join(dir, 'nginx-tuned'), { openFileCache: true })
  try {
    const ours: number[] = []
    const theirs: number[] = []
    const theirsTuned: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const all: [number[], string][] = [
        [ours, `${server.url}/v1/min/execwatch/${RELEASE}`],
        [theirs, `${nginx.url}/min.btf`],
        [theirsTuned, `${tuned.url}/min.btf`],
      ]
      for (const [rates, url] of round % 2 === 0 ? all : all.reverse())
        rates.push(await requestsPerSecond(url, dir))
    }
    const [rate, theirRate, tunedRate] = [median(ours), median(theirs), median(theirsTuned)]
    yield {
      work: `GET of a min BTF by release, ${CONNECTIONS} connections; against nginx serving the same file`,
      input: `wrk -t1 -c${CONNECTIONS} -d${SECONDS}s, client and server on the same cores`,
      oursMs: 1000 / rate,
      theirsMs: 1000 / theirRate,
      ratio: rate / theirRate,
      atLeast: 0.7,
      notes: [
        `ours ${rate.toFixed(0)} requests/s, nginx ${theirRate.toFixed(0)} requests/s`,
        `nginx with open_file_cache ${tunedRate.toFixed(0)} requests/s: ${(rate / tunedRate).toFixed(2)}x`,
      ],
    }
  } finally {
    await Promise.all([nginx.stop(), tuned.stop()])
    await server.stop()
  }
}

async function requestsPerSecond(url: string, dir: string): Promise<number> {
  const text = await shell(`wrk -t1 -c${CONNECTIONS} -d${SECONDS}s ${url}`, dir)
  if (/Non-2xx|Socket errors/.test(text)) throw new Error(`${url}: ${text}`)
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1])
}
