/** The extractor: any file that has a kernel in it to that kernel's BTF, checked. */
export { checkKernelBtf } from './check-kernel-btf.ts'
export { extract } from './extract.ts'
export { TempSpace } from './temp-space.ts'
export * from './types.ts'
