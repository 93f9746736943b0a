import { limits } from '../core/limits.ts'
import { ByteStream } from './byte-stream.ts'
import { codecOf, CODEC_MAGIC_BYTES, decompress } from './codec.ts'
import { readTar } from './tar.ts'

/** The name that a package's `control` file gives it; null where it gives none. Throws ExtractError. */
export async function debPackageName(control: ByteStream, signal: AbortSignal): Promise<string | null> {
  const codec = codecOf(await control.peek(CODEC_MAGIC_BYTES), control.name)
  const how = { name: control.name, signal, maxBytes: limits.package.maxUnpackedBytes, threads: 1 }
  const tar = codec === null ? control : new ByteStream(decompress(codec, control.rest(), how), control.name)
  try {
    for await (const entry of readTar(tar)) {
      if (entry.path.replace(/^\.\//, '') !== 'control' || entry.kind !== 'file') continue
      const sizeBytes = Math.min(entry.sizeBytes, limits.package.maxHeaderBytes)
      const text = Buffer.from(await tar.read(sizeBytes, 'the control file')).toString('utf8')
      return /^Package: *(\S+) *$/m.exec(text)?.[1] ?? null
    }
    return null
  } finally {
    await tar.close()
  }
}
