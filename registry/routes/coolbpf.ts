import { Hono } from 'hono'
import { find } from '../find.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { btfAnswer } from './btf-answer.ts'

/**
 * The path of OpenAnolis' mirror, raw bytes: `/coolbpf/btf/{arch}/vmlinux-{release}`; with `.elf` at the end the ELF file
 * with only `.BTF` that coolbpf's own archives hold.
 */
export function coolbpfRoutes(hub: Hub): Hono<Env> {
  return new Hono<Env>().get('/coolbpf/btf/:arch/:file{vmlinux-[^/]+}', async (c) => {
    const name = c.req.param('file').slice('vmlinux-'.length)
    const isElf = name.endsWith('.elf')
    const release = isElf ? name.slice(0, -'.elf'.length) : name
    const found = await find(hub, { kernel: { arch: c.req.param('arch'), release } })
    return hub.sender.send(c, await btfAnswer(hub, found, isElf ? 'elf' : 'raw'))
  })
}
