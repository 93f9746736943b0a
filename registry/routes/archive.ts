import { type Context, Hono } from 'hono'
import { parseArchiveName } from '../archive-name.ts'
import { find } from '../find.ts'
import { checksumLine, inForm } from '../forms.ts'
import type { Hub } from '../hub.ts'
import type { Env } from '../sender.ts'
import { answerWith } from './btf-answer.ts'

/**
 * btfhub-archive's layout, `/{distro}/{version}/{arch}/{release}.btf.tar.xz` and its like: what agents and scripts ask
 * today by changing a host name, so query strings (`?raw=true`) are let be.
 */
export function archiveRoutes(hub: Hub): Hono<Env> {
  return new Hono<Env>().get(
    '/:distro/:version/:arch/:file{[^/]+\\.(?:btf|btf\\.(?:gz|xz|tar\\.xz|elf)|elf)(?:\\.sha256)?}',
    async (c: Context<Env, '/:distro/:version/:arch/:file'>, next) => {
      const { distro, version, arch, file } = c.req.param()
      const name = parseArchiveName(file)
      if (name === null) return next()
      const found = await find(hub, { kernel: { distro, version, arch, release: name.release } })
      const { kernel } = found.build
      const content = await inForm(hub, found.btf, kernel, name.format)
      const answer = name.isChecksum
        ? answerWith(found, checksumLine(content.digest, name.file), 'sha256')
        : answerWith(found, content, name.format)
      return hub.sender.send(c, answer)
    },
  )
}
