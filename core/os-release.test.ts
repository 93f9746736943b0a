import { describe, expect, it } from 'vitest'
import { parseOsRelease } from './os-release.ts'

describe('os-release', () => {
  it.each([
    ['CentOS 7', 'NAME="CentOS Linux"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\n', 'centos', '7'],
    ['Oracle 7.9, a point release that archives do not have', 'ID="ol"\nVERSION_ID="7.9"\n', 'ol', '7'],
    ['Fedora, nothing quoted', 'ID=fedora\nVERSION_ID=31\n', 'fedora', '31'],
    ['Amazon 1', "ID='amzn'\nVERSION_ID='2018.03'", 'amzn', '2018'],
    ['Windows line ends', 'ID=ubuntu\r\nVERSION_ID="20.04"\r\n', 'ubuntu', '20.04'],
    ['openEuler', 'ID="openEuler"\nVERSION_ID="22.03"', 'openEuler', '22.03'],
    ['Debian unstable has a code name only', 'ID=debian\nVERSION_CODENAME=trixie\n', 'debian', '13'],
    ['comments, blanks, noise', '# hi\n\n  ID=sles\nnonsense\n=x\nVERSION_ID="15.2"  \n', 'sles', '15.2'],
    ['a repeated name: the last one', 'ID=a\nID=b\nVERSION_ID=1\n', 'b', '1'],
  ])('reads %s', (_, text, distro, version) => {
    expect(parseOsRelease(text)).toMatchObject({ distro, version })
  })

  it.each([
    ['nothing', ''],
    ['no ID', 'VERSION_ID=7\n'],
    ['an empty ID', 'ID=""\nVERSION_ID=7\n'],
    ['binary noise', '\u0000\u0001\nID\n'],
  ])('says null for %s', (_, text) => {
    expect(parseOsRelease(text)).toMatchObject({ distro: null, version: null })
  })

  it('lists what a clone is like, aliases resolved, and the code name that it keeps', () => {
    const mint =
      'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="21"\nVERSION_CODENAME=vera\nUBUNTU_CODENAME=jammy\n'
    expect(parseOsRelease(mint)).toMatchObject({ like: ['ubuntu', 'debian'], codename: 'jammy' })
    expect(parseOsRelease('ID_LIKE="redhat suse"').like).toEqual(['rhel', 'sles'])
  })

  it('takes escapes off in double quotes only', () => {
    expect(parseOsRelease('ID="a\\"b"').distro).toBe('a"b')
    expect(parseOsRelease("ID='a\\b'").distro).toBe('a\\b')
  })
})
