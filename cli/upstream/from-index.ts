import {
  askIndex,
  type AskIndexOptions,
  ClientError,
  type HubConnection,
  indexedBuilds,
} from '../../client/index.ts'
import { limits } from '../../core/limits.ts'
import { SupplyError } from '../../registry/index.ts'
import type { HubAnswers } from './from-hub.ts'

/** What the signed index of a hub says, or of a tree of files: nothing else is believed. */
export function bySignature(hub: HubConnection, how: AskIndexOptions): HubAnswers {
  const unsigned = (): ClientError =>
    new ClientError('UNVERIFIED', `${hub.url}: has no signed index, and a key says that it must`)
  return {
    async resolve(request) {
      const found = await askIndex(hub, request, how)
      if (found === null) throw unsigned()
      return found.answer
    },
    async named(release, arch) {
      const builds = await indexedBuilds(hub, release, how)
      if (builds === null) throw unsigned()
      const ofArch = builds.filter(({ kernel }) => kernel.arch === arch)
      const most = limits.request.maxSupplied ** 2
      if (ofArch.length <= most) return ofArch
      throw new SupplyError(
        'ILL',
        `${hub.url}: ${release} is there ${ofArch.length} times, too often to be fetched`,
      )
    },
  }
}
