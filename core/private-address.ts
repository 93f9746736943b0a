import { BlockList, isIP } from 'node:net'

/** Networks that nobody on the Internet has: IANA's special-purpose registries (RFC 6890) and multicast. */
const SPECIAL = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
  '::/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/10',
  'ff00::/8',
] as const

const special = new BlockList()
for (const network of SPECIAL) {
  const [address = '', bits = ''] = network.split('/')
  special.addSubnet(address, Number(bits), isIP(address) === 4 ? 'ipv4' : 'ipv6')
}

/**
 * True for an address of this machine, of a network around it, or of no use at all. Mapped IPv4 is what it maps; NAT64
 * and 6to4 count as private, because what they lead to cannot be told from here.
 */
export function isPrivateAddress(address: string): boolean {
  const version = isIP(address)
  return version === 0 || special.check(address, version === 4 ? 'ipv4' : 'ipv6')
}
