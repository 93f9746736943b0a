import { HubError } from '../core/errors.ts'

/**
 * `NOT_BPF`: the bytes are no BPF object. `MALFORMED`: an object or a kernel's BTF that contradicts itself.
 * `UNSUPPORTED`: a kind or version that no min BTF can hold. `LIMIT`: more than `core/limits` allows.
 * `DIFFERS`: a relocation has another outcome on the min BTF than on the full one, which is a defect of ours.
 */
export type MinimizeErrorCode = 'NOT_BPF' | 'MALFORMED' | 'UNSUPPORTED' | 'LIMIT' | 'DIFFERS'

export class MinimizeError extends HubError<MinimizeErrorCode> {}
