import { type Context, Hono } from 'hono'
import { find } from '../find.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { btfAnswer } from './btf-answer.ts'

/**
 * Raw BTF under the names of files that agents look for on their own disk, so that a mount or a `wget -x` of a hub is
 * what they expect: Tetragon's `metadata/vmlinux-{release}` (pkg/btf/btf.go) and deepflow's
 * `/usr/lib/btf/vmlinux-{release}.btf` (agent/src/ebpf/user/btf_core.c). Their names say no architecture: `arch` does,
 * x86_64 by default.
 */
export function agentNameRoutes(hub: Hub): Hono<Env> {
  const answer = async (
    c: Context<Env, '/metadata/:file' | '/usr/lib/btf/:file'>,
    release: string,
  ): Promise<Response> => {
    const found = await find(hub, { kernel: { release, arch: c.req.query('arch') }, assumedArch: 'x86_64' })
    return hub.sender.send(c, await btfAnswer(hub, found, 'raw'))
  }
  return new Hono<Env>()
    .get('/metadata/:file{vmlinux-[^/]+}', (c) => answer(c, releaseIn(c.req.param('file'))))
    .get('/usr/lib/btf/:file{vmlinux-[^/]+\\.btf}', (c) => answer(c, releaseIn(c.req.param('file'))))
}

/** `.btf` at the end is taken off with the rest of the release's spelling. */
function releaseIn(file: string): string {
  return file.slice('vmlinux-'.length)
}
