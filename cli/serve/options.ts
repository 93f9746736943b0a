import { type Command, Option } from 'commander'
import type { SettingName } from './settings.ts'

/** How a setting is written as an option, and what it is for. */
export const OPTIONS: Readonly<Record<SettingName, readonly [flags: string, about: string]>> = {
  data: ['--data <dir>', 'where the hub keeps its state'],
  host: ['--host <address>', 'address to listen on'],
  port: ['--port <n>', 'port to listen on, 0 for any'],
  'public-url': ['--public-url <url>', 'how clients reach this hub, for get.sh'],
  'read-only': ['--read-only', 'write nothing: min BTF and other forms are made anew after a restart'],
  'on-demand': [
    '--on-demand [source...]',
    'extract what these (all) sources list while somebody asks for it',
  ],
  mirror: ['--mirror <url...>', "base URLs that replace the sources' own mirrors, for --on-demand"],
  upstream: ['--upstream <url...>', 'hubs and btfhub-shaped trees to fetch from what is not here'],
  'upstream-key': [
    '--upstream-key <key...>',
    'public keys (ed25519:…): of --upstream only what a signed index has',
  ],
  'sign-key': [
    '--sign-key <file...>',
    "private keys that sign /v1/index.json; the hub's own, of `btfhub key generate`, by default",
  ],
  'index-lifetime': ['--index-lifetime <time>', 'how long a signed index is to be believed'],
  wait: [
    '--wait <time>',
    'how long a request waits for --on-demand and --upstream before it is told to come again',
  ],
  'rate-limit': ['--rate-limit <n>', 'requests a second that one client may make; 0 for no limit'],
  'rate-limit-work': [
    '--rate-limit-work <n>',
    'the same for requests that make this hub compute; 0 for no limit',
  ],
  'trust-proxy': [
    '--trust-proxy <n|cidr>',
    'proxies in front that X-Forwarded-For is believed of: how many, or which',
  ],
  'access-log': ['--access-log <file>', 'a JSON line for each request; - for stdout'],
  'max-connections': ['--max-connections <n>', 'connections at a time'],
  'drain-notice': [
    '--drain-notice <time>',
    'how long /readyz says no before connections are refused, on SIGTERM',
  ],
  drain: ['--drain <time>', 'how long what is under way may take to end then'],
}

/** Adds the options of `serve`. What they say is checked with all else that is said, see settings.ts. */
export function addServeOptions(command: Command): Command {
  for (const [name, [flags, about]] of Object.entries(OPTIONS)) {
    command.addOption(new Option(flags, `${about} (also BTFHUB_${name.toUpperCase().replaceAll('-', '_')})`))
  }
  return command
    .option('--config <file>', 'a YAML file with the same settings (also BTFHUB_CONFIG)')
    .option('--print-config', 'print what would hold, and from where, and do nothing', false)
}
