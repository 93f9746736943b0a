/** Damage to bytes that is the same for the same seed: what bad disks, cut connections and people with intent do. */

/** A copy of `bytes` with one to four pieces of damage; `stranger` is what other bytes are taken from. */
export function mutated(bytes: Uint8Array, seed: number, stranger: Uint8Array = bytes): Buffer {
  const random = generator(seed)
  let copy = Buffer.from(bytes)
  const below = (end: number): number => Math.floor(random() * end)
  // Headers are at the front and at the end: that is where half of the damage goes.
  const place = (): number => {
    const span = [64, 512, 4096, copy.byteLength, copy.byteLength][below(5)] as number
    const at = below(Math.max(1, Math.min(span, copy.byteLength)))
    return random() < 0.2 ? Math.max(0, copy.byteLength - 1 - at) : at
  }
  const pieces = 1 + below(4)
  for (let piece = 0; piece < pieces && copy.byteLength > 0; piece++) {
    const at = place()
    switch (below(8)) {
      case 0:
        copy[at] = below(256)
        break
      case 1:
        copy[at] = (copy[at] as number) ^ (1 << below(8))
        break
      case 2:
        if (copy.byteLength >= 4)
          copy.writeUInt32LE(
            WORDS[below(WORDS.length)] as number,
            Math.max(0, Math.min(at, copy.byteLength - 4)),
          )
        break
      case 3:
        if (copy.byteLength >= 4)
          copy.writeUInt32BE(
            WORDS[below(WORDS.length)] as number,
            Math.max(0, Math.min(at, copy.byteLength - 4)),
          )
        break
      case 4:
        copy.subarray(at, at + below(1024)).fill(below(2) * 255)
        break
      case 5:
        copy = copy.subarray(0, at)
        break
      case 6: {
        const from = below(stranger.byteLength)
        copy.set(stranger.subarray(from, from + Math.min(below(2048), copy.byteLength - at)), at)
        break
      }
      default: {
        const again = copy.subarray(at, at + below(4096))
        copy = Buffer.concat([copy.subarray(0, at), again, copy.subarray(at)])
      }
    }
  }
  return copy
}

/** What lengths, counts and offsets least expect. */
const WORDS = [
  0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, 0x10000000, 0x00100000,
]

/** Mulberry32: numbers from 0 to 1 that only depend on the seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
