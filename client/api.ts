/** What of the client needs schemas, apart from what `get` starts with. */
export { pushTool, type PushOptions } from './push-tool.ts'
