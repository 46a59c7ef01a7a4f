import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { packBlocks } from '../../src/request/address-blocks.ts'

describe('packBlocks', () => {
  for (const [block, hex, bits] of [
    ['192.0.2.7', '00000000000000000000ffffc0000207', 128],
    ['192.0.2.0/24', '00000000000000000000ffffc0000200', 120],
    ['0.0.0.0/0', '00000000000000000000ffff00000000', 96],
    ['::ffff:192.0.2.0/120', '00000000000000000000ffffc0000200', 120],
    ['::ffff:0:0/90', '00000000000000000000ffff00000000', 90],
    ['::/0', '00000000000000000000000000000000', 0],
    ['::1', '00000000000000000000000000000001', 128],
    ['2001:db8::/32', '20010db8000000000000000000000000', 32],
    ['2001:DB8:1:2:3:4:5:6/64', '20010db8000100020003000400050006', 64],
    ['64:ff9b::192.0.2.1', '0064ff9b0000000000000000c0000201', 128],
    ['fe80::', 'fe800000000000000000000000000000', 128],
  ] as const) {
    it(`has ${block} as the bytes of an IPv6 address and how many bits count`, () => {
      const packed = packBlocks([block])
      assert.equal(packed.length, 17)
      assert.equal(Buffer.from(packed.subarray(0, 16)).toString('hex'), hex)
      assert.equal(packed[16], bits)
    })
  }

  it('has one after the other, and leaves out peers of unix sockets', () => {
    const packed = packBlocks(['::1', 'unix', '10.0.0.0/8'])
    assert.deepEqual([packed.length, packed[16], packed[33]], [34, 128, 104])
    assert.equal(packBlocks([]).length, 0)
  })
})
