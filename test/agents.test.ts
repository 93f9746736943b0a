import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rawBtf } from '../btf/index.ts'
import { agentEnvironment, installPath } from '../client/index.ts'
import { sha256Of } from '../core/digest.ts'
import { silentLog } from '../core/log.ts'
import { type RunningRegistry, startRegistry } from '../registry/index.ts'
import { btfhub } from './helpers/cli.ts'
import { havePrograms } from './helpers/machine.ts'
import { addKernel, addTool, compileTool, tinyKernel } from './helpers/registry.ts'
import { openTestStore, type TestStore } from './helpers/store.ts'

/** Kernels as distributions name them, each with a BTF of its own. */
const KERNELS = {
  bionic: { distro: 'ubuntu', version: '18.04', arch: 'x86_64', release: '4.15.0-20-generic' },
  bionicArm: { distro: 'ubuntu', version: '18.04', arch: 'aarch64', release: '4.15.0-20-generic' },
  centos: { distro: 'centos', version: '7', arch: 'x86_64', release: '3.10.0-1160.el7.x86_64' },
  oracle: { distro: 'ol', version: '7', arch: 'x86_64', release: '4.14.35-1818.3.3.el7uek.x86_64' },
  amazon: { distro: 'amzn', version: '2018', arch: 'x86_64', release: '4.14.26-46.32.amzn1.x86_64' },
  leap: { distro: 'opensuse-leap', version: '15.2', arch: 'x86_64', release: '5.3.18-lp152.19-default' },
  fedora: { distro: 'fedora', version: '31', arch: 'x86_64', release: '5.3.7-301.fc31.x86_64' },
  deb10: { distro: 'debian', version: '10', arch: 'aarch64', release: '5.10.0-0.deb10.17-rt-arm64' },
} as const
type Name = keyof typeof KERNELS
const NAMES = Object.keys(KERNELS) as Name[]
const bytesOf = (name: Name): Buffer => Buffer.from(tinyKernel(4 * (1 + NAMES.indexOf(name))))
const buildIdOf = (name: Name): string => sha256Of(name).slice(0, 40)

const dir = mkdtempSync(join(tmpdir(), 'btfhub-agents-'))
let store: TestStore
let hub: RunningRegistry
let object: Uint8Array

beforeAll(async () => {
  store = await openTestStore()
  for (const name of NAMES) {
    const sample = { kernel: KERNELS[name], btf: bytesOf(name), provenance: { buildId: buildIdOf(name) } }
    await addKernel(store, sample)
  }
  object = compileTool(['pid', 'tgid'])
  await addTool(store, 'agent', '1.0', object)
  hub = await startRegistry({ ...store, log: silentLog }, { host: '127.0.0.1', port: 0 })
})

afterAll(async () => {
  await hub.stop()
  await store.cleanUp()
  rmSync(dir, { recursive: true })
})

async function get(path: string): Promise<Buffer> {
  const answer = await fetch(hub.url + path)
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return Buffer.from(await answer.arrayBuffer())
}

/** The only file of a tar.xz: its name and bytes, as the system's tar has them. */
function onlyFileOf(tarXz: Buffer): { readonly name: string; readonly bytes: Buffer } {
  const file = join(dir, 'a.tar.xz')
  writeFileSync(file, tarXz)
  const names = execFileSync('tar', ['-tJf', file], { encoding: 'utf8' }).trim().split('\n')
  expect(names).toHaveLength(1)
  return { name: names[0] ?? '', bytes: execFileSync('tar', ['-xJOf', file], { maxBuffer: 1 << 28 }) }
}

/** Names in a bundle, made once. */
async function bundle(layout: string, file: string): Promise<string[]> {
  const path = join(dir, file)
  if (!existsSync(path)) {
    await btfhub(['bundle', 'agent', '--layout', layout, '-o', path, '--data', store.dataDir])
  }
  return execFileSync('tar', ['-tf', path], { encoding: 'utf8' }).trim().split('\n')
}

/** What os-release says, quotes and all. */
interface OsRelease {
  readonly id: string
  readonly versionId: string
}

/** Numbers are the sections of the survey of agents that these habits come from. */
describe.skipIf(!havePrograms('clang', 'tar', 'xz'))(
  'what agents ask for, as they ask for it (skipped without clang, tar or xz)',
  () => {
    it.each<[Name, OsRelease, string, string]>([
      ['bionic', { id: 'ubuntu', versionId: '"18.04"' }, 'x86_64', './ubuntu/18.04/x86_64/'],
      ['centos', { id: '"centos"', versionId: '"7"' }, 'x86_64', './"centos"/7/x86_64/'],
      ['oracle', { id: '"ol"', versionId: '"7.9"' }, 'x86_64', './"ol"/7.9/x86_64/'],
      ['fedora', { id: 'fedora', versionId: '31' }, 'x86_64', './fedora//x86_64/'],
      ['bionicArm', { id: 'ubuntu', versionId: '"18.04"' }, 'aarch64', './ubuntu/18.04/aarch64/'],
    ])(
      '1.1 bcc libbpf-tools: ensure_core_btf finds %s in its tar under %j',
      async (name, os, uname, folder) => {
        // btf_helpers.c: sscanf("ID=%64s") and sscanf("VERSION_ID=\"%64s") without the last quote, then the format below.
        const version = /^"(.*)"$/.exec(os.versionId)?.[1] ?? ''
        const asked = `./${os.id}/${version}/${uname}/${KERNELS[name].release}.btf`
        expect(asked.startsWith(folder)).toBe(true)
        expect(await bundle('bcc', 'min_core_btfs.tar.gz')).toContain(asked)
      },
    )

    it('1.2 libbpf: raw BTF in its search path from 1.1 on, ELF before that, and btf_custom_path takes both', async () => {
      const { release } = KERNELS.bionic
      expect(installPath('/', release)).toBe(`/usr/lib/debug/boot/vmlinux-${release}`)
      expect(await get(`/v1/btf/${release}`)).toEqual(bytesOf('bionic'))
      const elf = await get(`/v1/btf/${release}?format=elf`)
      expect(elf.subarray(0, 4).toString('latin1')).toBe('\u007fELF')
      expect(Buffer.from(rawBtf(elf))).toEqual(bytesOf('bionic'))
    })

    it('1.3 cilium/ebpf: a whole body for LoadSpecFromReader, whose length is known, and ELF before 0.12.3', async () => {
      const headers = { 'accept-encoding': 'identity' }
      const answer = await fetch(`${hub.url}/v1/btf/${KERNELS.leap.release}`, { headers })
      expect(answer.headers.get('content-length')).toBe(String(bytesOf('leap').byteLength))
      expect(answer.headers.get('accept-ranges')).toBe('bytes')
      const elf = await get(`/opensuse-leap/15.2/x86_64/${KERNELS.leap.release}.elf`)
      expect(Buffer.from(rawBtf(elf))).toEqual(bytesOf('leap'))
    })

    it('1.4 aya: Btf::parse_file takes raw BTF only, of a header of 24 bytes', async () => {
      const raw = await get(`/v1/btf/${KERNELS.fedora.release}`)
      expect(raw.readUInt16LE(0)).toBe(0xeb9f)
      expect(raw.readUInt32LE(4)).toBe(24)
    })

    it.each([
      ['1.5 bpftrace', 'BPFTRACE_BTF'],
      ['1.6 Tracee', 'TRACEE_BTF_FILE'],
      ['1.8 Datadog system-probe', 'DD_SYSTEM_PROBE_BTF_PATH'],
      ['1.9 Elastic quark', 'QUARK_BTF_PATH'],
      ['1.12 eunomia-bpf', 'BTF_FILE_PATH'],
      ['1.13 Tetragon', 'TETRAGON_BTF'],
    ])('%s: %s names a raw file, as `get --env` prints it', (_, variable) => {
      const lines = agentEnvironment("/tmp/it's.btf").join('\n')
      const shown = execFileSync('sh', ['-c', `${lines}\nprintf %s "$${variable}"`], { encoding: 'utf8' })
      expect(shown).toBe("/tmp/it's.btf")
    })

    it('1.6 Tracee: btfgen over a tree of tar.xz, and dist/btfhub/ID/VERSION/{x86_64|arm64}/REL.btf embedded', async () => {
      const { release } = KERNELS.bionicArm
      const { name, bytes } = onlyFileOf(await get(`/ubuntu/18.04/arm64/${release}.btf.tar.xz`))
      expect([name, bytes.equals(bytesOf('bionicArm'))]).toEqual([`${release}.btf`, true])
      expect(await bundle('tree', 'tree.tar')).toContain(`ubuntu/18.04/arm64/${release}.btf`)
    })

    it('1.7 Inspektor Gadget: HEAD says "HTTP/1.1 200 OK", and a layer’s member is ID/VERSION_ID/`uname -m`/REL.btf', async () => {
      const path = `/aquasecurity/btfhub-archive/raw/main/centos/7/x86_64/${KERNELS.centos.release}.btf.tar.xz`
      const said = await new Promise<string>((resolve, reject) => {
        request(hub.url + path, { method: 'HEAD' }, (answer) => {
          answer.resume()
          resolve(`HTTP/${answer.httpVersion} ${answer.statusCode} ${answer.statusMessage}`)
        })
          .on('error', reject)
          .end()
      })
      expect(said).toBe('HTTP/1.1 200 OK')
      const members = await bundle('gadget', 'gadget.tar.gz')
      expect(members).toContain(`ubuntu/18.04/aarch64/${KERNELS.bionicArm.release}.btf`)
      expect(members.every((member) => !member.startsWith('./'))).toBe(true)
    })

    it('1.8 Datadog: the catalog’s sha256 is that of /btfs/{distro}/{release}/{arch}/{kernel}.btf.tar.xz', async () => {
      const { release } = KERNELS.amazon
      const tar = await get(`/btfs/amzn/2018/x86_64/${release}.btf.tar.xz`)
      for (let tries = 0; ; tries++) {
        type Tree = Record<string, Record<string, Record<string, Record<string, { sha256: string }>>>>
        const tree = JSON.parse((await get('/catalog.json')).toString()) as Tree
        const entry = tree['x86_64']?.['amzn']?.['2018']?.[release]
        if (entry === undefined && tries < 20) {
          await new Promise((resolve) => setTimeout(resolve, 500))
          continue
        }
        expect(entry).toEqual({ sha256: sha256Of(tar) })
        break
      }
      expect(onlyFileOf(tar).name).toBe(`${release}.btf`)
    })

    it('1.9 auditbeat: files named {uname -r}.btf, flat', async () => {
      expect(await bundle('flat', 'flat.tar')).toContain(`${KERNELS.deb10.release}.btf`)
    })

    it('1.10 kyanos: OpenAnolis’ mirror uncompressed, then btfhub-archive with what os-release says', async () => {
      const { release } = KERNELS.deb10
      expect(await get(`/coolbpf/btf/aarch64/vmlinux-${release}`)).toEqual(bytesOf('deb10'))
      const oracle = `/aquasecurity/btfhub-archive/raw/main/ol/7.9/x86_64/${KERNELS.oracle.release}.btf.tar.xz`
      expect(onlyFileOf(await get(oracle)).name).toBe(`${KERNELS.oracle.release}.btf`)
    })

    it('1.11 skywalking-rover: its name of a distribution has _ for -', async () => {
      const path = `/opensuse_leap/15.2/x86_64/${KERNELS.leap.release}.btf`
      expect(await get(path)).toEqual(bytesOf('leap'))
    })

    it('1.12 eunomia-bpf: its parser wants an ELF around the BTF', async () => {
      const elf = await get(`/ubuntu/18.04/x86_64/${KERNELS.bionic.release}.btf.elf`)
      expect(Buffer.from(rawBtf(elf))).toEqual(bytesOf('bionic'))
    })

    it('1.13 krie: x86_64 whatever the machine, and a 404 that is one', async () => {
      const root = '/aquasecurity/btfhub-archive/raw/main/amzn/2018.03/x86_64'
      const { name } = onlyFileOf(await get(`${root}/${KERNELS.amazon.release}.btf.tar.xz`))
      expect(name).toBe(`${KERNELS.amazon.release}.btf`)
      expect((await fetch(`${hub.url}${root}/no-such.btf.tar.xz`)).status).toBe(404)
    })

    it('1.13 shell scripts: ARCH=$(uname -m) unmapped, quotes in ID, ?raw=true', async () => {
      const { release } = KERNELS.deb10
      expect(await get(`/%22debian%22/%2210%22/aarch64/${release}.btf?raw=true`)).toEqual(bytesOf('deb10'))
      const line = (await get(`/debian/buster/arm64/${release}.btf.sha256`)).toString()
      expect(line).toBe(`${sha256Of(bytesOf('deb10'))}  ${release}.btf\n`)
    })

    it.each([
      ['deepflow', 'usr/lib/btf/vmlinux-{}.btf'],
      ['Tetragon', 'var/lib/tetragon/metadata/vmlinux-{}'],
      ['kyanos', 'var/lib/kyanos/btf/vmlinux-{}'],
    ])('1.13 %s: raw BTF as %s, which `get -o` writes', async (_, pattern) => {
      const { release, arch } = KERNELS.centos
      const path = join(dir, pattern.replace('{}', release))
      const cache = ['--cache', join(dir, 'cache')]
      await btfhub(['get', release, '--arch', arch, '--hub', hub.url, '-o', path, ...cache])
      expect(readFileSync(path)).toEqual(bytesOf('centos'))
    })

    it('1.14 btfhub-online: list, download, customize, health, with its parameters', async () => {
      const { release } = KERNELS.bionic
      const entry = {
        distribution: 'ubuntu',
        distribution_version: '18.04',
        kernel_version: release,
        arch: 'arm64',
      }
      expect(JSON.parse((await get('/api/v1/list')).toString())).toContainEqual(entry)
      const search = new URLSearchParams(entry).toString()
      const { name, bytes } = onlyFileOf(await get(`/api/v1/download?${search}`))
      expect([name, bytes.equals(bytesOf('bionicArm'))]).toEqual([`${release}.btf`, true])
      const body = new FormData()
      body.append('bpf', new Blob([new Uint8Array(object)]), 'agent.bpf.o')
      const answer = await fetch(`${hub.url}/api/v1/customize?${search}`, { method: 'POST', body })
      const min = onlyFileOf(Buffer.from(await answer.arrayBuffer()))
      expect(min.bytes.byteLength).toBeLessThan(bytes.byteLength / 4)
      expect((await fetch(`${hub.url}/monitoring/health`)).status).toBe(200)
    })

    it('1.15 debuginfod: /buildid/{hex}/section/.BTF', async () => {
      expect(await get(`/buildid/${buildIdOf('oracle')}/section/.BTF`)).toEqual(bytesOf('oracle'))
      expect((await fetch(`${hub.url}/buildid/${'0'.repeat(40)}/section/.BTF`)).status).toBe(404)
    })

    it('1.16 sizes: a min BTF for one tool is a few hundred bytes', async () => {
      const min = await get(`/v1/min/agent/${KERNELS.centos.release}`)
      expect(min.byteLength).toBeLessThan(400)
    })
  },
)
