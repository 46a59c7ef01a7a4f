import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clientKey } from '../../src/request/client-key.ts'

const cases: { name: string; ip: string; key: string }[] = [
  { name: 'keeps an IPv4 address', ip: '203.0.113.9', key: '203.0.113.9' },
  { name: 'keeps the empty address of a unix peer', ip: '', key: '' },
  { name: 'keeps what is no address', ip: 'no:address', key: 'no:address' },
  { name: 'cuts IPv6 to its /64', ip: '2001:db8:1:2:3:4:5:6', key: '2001:db8:1:2::/64' },
  { name: 'expands a gap in the host part', ip: '2001:db8:1:2::6', key: '2001:db8:1:2::/64' },
  { name: 'expands a gap in the network part', ip: '2001:db8::3:4:5:6', key: '2001:db8:0:0::/64' },
  { name: 'expands a gap at the start', ip: '::1', key: '0:0:0:0::/64' },
  { name: 'expands a gap at the end', ip: '2001:db8::', key: '2001:db8:0:0::/64' },
  { name: 'expands nothing but a gap', ip: '::', key: '0:0:0:0::/64' },
  { name: 'takes all spellings for one', ip: '2001:0DB8:0001:0002::F', key: '2001:db8:1:2::/64' },
  { name: 'leaves the zone out', ip: 'fe80::1%eth0', key: 'fe80:0:0:0::/64' },
  { name: 'counts a dotted quad as two groups', ip: '1:2:3::1.2.3.4', key: '1:2:3:0::/64' },
  { name: 'reads a dotted quad without gap', ip: '1:2:3:4:5:6:1.2.3.4', key: '1:2:3:4::/64' },
  {
    name: 'tells IPv4 clients behind a translator apart',
    ip: '64:ff9b::c000:201',
    key: '64:ff9b:0:0:0:0:c000:201',
  },
]

describe('clientKey', () => {
  for (const { name, ip, key } of cases) {
    it(name, () => {
      assert.equal(clientKey(ip), key)
    })
  }
})
