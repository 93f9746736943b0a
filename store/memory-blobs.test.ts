import { describeBlobStore } from './blobs.case.ts'
import { createMemoryBlobs } from './memory-blobs.ts'

describeBlobStore('memory', async () => createMemoryBlobs())
