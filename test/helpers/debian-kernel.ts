import { findMirror, kernelOffers, newest, releaseOf } from '../../extractor/mirror.fixture.ts'

/** The release of Debian 12's newest cloud kernel, which carries BTF; null where no mirror answers. */
export async function debianCloudRelease(): Promise<string | null> {
  const mirror = await findMirror()
  if (mirror === null) return null
  return releaseOf(
    newest(await kernelOffers(mirror, 'bookworm', 'amd64'), /^linux-image-6\.1\..*-cloud-amd64$/),
  )
}
