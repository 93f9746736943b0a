import { Option } from 'commander'
import { collectWords } from './parse.ts'

export const dataOption = (): Option =>
  new Option('--data <dir>', 'where the hub keeps its state').env('BTFHUB_DATA').default('data/hub')
export const layoutOption = (): Option =>
  new Option('--layout <layout>', 'one bundle, as these programs look min BTF up').choices([
    'tree',
    'bcc',
    'gadget',
    'datadog',
    'flat',
    'compact',
  ])
export const keyOption = (): Option =>
  new Option('--key <key>', 'public key of a hub: only what its signed index says is believed')
    .env('BTFHUB_KEY')
    .argParser(collectWords)
export const compatOption = (): Option =>
  new Option('--compat <level>', 'lower it for a reader of old, by its libbpf: docs/compat.md').choices([
    'native',
    '1.0',
    '0.6',
    '0.4',
    '0.3',
  ])
export const jsonOption = (): Option => new Option('--json', 'print facts as JSON').default(false)
