import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../core/version.ts'
import { compare, type ComparisonResult } from './measure.ts'
import { startNginx } from './nginx.ts'
import { debianPair } from './packages.ts'
import { shell } from './shell.ts'

const BIN = join(packageRoot, 'bin/btfhub')

/** Packages on a web server of this machine → BTF, against what one does by hand today. */
export async function* benchExtract(dir: string): AsyncGenerator<ComparisonResult> {
  const pair = await debianPair()
  const nginx = await startNginx(pair.dir, join(dir, 'nginx'))
  try {
    const imageUrl = `${nginx.url}/${pair.image}`
    const debugUrl = `${nginx.url}/${pair.debug}`
    const vmlinux = `usr/lib/debug/boot/vmlinux-${pair.release}`
    const unpack = `rm -rf x && mkdir x && cd x && curl -fsS -o dbg.deb '${debugUrl}' &&
      dpkg-deb --fsys-tarfile dbg.deb | tar x ./${vmlinux}`
    const input = `Debian 12 ${pair.release} from nginx on loopback`
    const ours = (args: string) => ({
      name: 'btfhub extract',
      run: async () => {
        const facts = JSON.parse(await shell(`node ${BIN} extract ${args} -o ours.btf --json`, dir)) as {
          bytesRead: number
        }
        return `${((100 * facts.bytesRead) / pair.debugBytes).toFixed(1)} % of the debug package's bytes`
      },
    })
    const theirs = (encode: string) => ({
      name: 'by hand',
      run: async () => {
        await shell(
          `${unpack} && ${encode} && tar cJf x.btf.tar.xz x.btf && mv x.btf ../theirs.btf && cd .. && rm -rf x`,
          dir,
        )
      },
    })
    const dumpSection = theirs(`objcopy --dump-section .BTF=x.btf ${vmlinux} /dev/null`)

    yield await compare({
      work: 'package → BTF, kernel with BTF, digest verified; against -dbg, dpkg-deb, objcopy, tar cJ',
      input: `${input}, image ${pair.imageBytes} bytes, -dbg ${pair.debugBytes} bytes`,
      ours: ours(imageUrl),
      theirs: dumpSection,
      atLeast: 8,
      rounds: 3,
    })
    const same = readFileSync(join(dir, 'ours.btf')).equals(readFileSync(join(dir, 'theirs.btf')))
    if (!same) throw new Error('the BTF of the image is not that of the debug package')

    yield await compare({
      work: 'package → BTF, kernel with BTF, --unverified; against the same',
      input,
      ours: ours(`${imageUrl} --unverified`),
      theirs: dumpSection,
      atLeast: 12,
      rounds: 3,
    })
    yield await compare({
      work: 'package → BTF from DWARF; against -dbg, dpkg-deb, pahole -j, tar cJ',
      input,
      ours: ours(`${debugUrl} --force-dwarf`),
      theirs: theirs(`pahole -j --btf_gen_floats --lang_exclude=rust --btf_encode_detached=x.btf ${vmlinux}`),
      atLeast: 1.3,
      rounds: 3,
    })
  } finally {
    await nginx.stop()
  }
}
