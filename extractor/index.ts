/** The extractor: any file that has a kernel in it to that kernel's BTF, checked. */
export { checkKernelBtf } from './check-kernel-btf.ts'
export { extract } from './extract.ts'
export type { ModuleBtf } from './module-btf.ts'
export { checkModuleBtf } from './module-btf.ts'
export { type ExtractedModules, extractModules, mergeModules, type ModulesOptions } from './modules.ts'
export { TempSpace } from './temp-space.ts'
export * from './types.ts'
