import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crc32c } from '../../src/listen/crc32c.ts'

describe('crc32c', () => {
  it('has the values of RFC 3720 B.4, which stand there with their bytes turned round', () => {
    const increasing = Buffer.from(Array.from({ length: 32 }, (_, index) => index))
    assert.equal(crc32c([Buffer.alloc(32)]), 0x8a9136aa)
    assert.equal(crc32c([Buffer.alloc(32, 0xff)]), 0x62a8ab43)
    assert.equal(crc32c([increasing]), 0x46dd794e)
    assert.equal(crc32c([Buffer.from(increasing.toReversed())]), 0x113fdb5c)
  })

  it('is that of the whole, however it is cut', () => {
    assert.equal(crc32c([Buffer.from('1234'), Buffer.alloc(0), Buffer.from('56789')]), 0xe3069283)
  })
})
