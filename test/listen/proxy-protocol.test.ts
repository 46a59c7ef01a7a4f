import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crc32c } from '../../src/listen/crc32c.ts'
import { HEADER_BYTES_MAX, readProxyHeader } from '../../src/listen/proxy-protocol.ts'
import { binaryHeader, IPV4, SIGNATURE, typeLengthValue } from '../support/proxy-header.ts'
import { randomNumbers } from '../support/random-numbers.ts'

const TO = { localAddress: '198.51.100.9', localPort: 443 }

function readText(text: string) {
  return readProxyHeader(Buffer.from(text, 'latin1'))
}

function brokenBy(bytes: Buffer | string): string | undefined {
  const read = readProxyHeader(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  return typeof read === 'object' && 'broken' in read ? read.broken : undefined
}

const lines = {
  'PROXY TCP4 192.0.2.7 198.51.100.9 4660 443\r\n': {
    peerAddress: '192.0.2.7',
    peerPort: 4660,
    ...TO,
  },
  'PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n': {
    peerAddress: '0.0.0.0',
    peerPort: 0,
    localAddress: '255.255.255.255',
    localPort: 65_535,
  },
  'PROXY TCP6 2001:DB8:0:0:0:0:0:7 ::1 1 2\r\n': {
    peerAddress: '2001:db8::7',
    peerPort: 1,
    localAddress: '::1',
    localPort: 2,
  },
  'PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.9 4660 443\r\n': {
    peerAddress: '192.0.2.7',
    peerPort: 4660,
    ...TO,
  },
  'PROXY UNKNOWN\r\n': 'unknown',
  'PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n':
    'unknown',
} as const

const brokenLines = [
  'PROXY TCP4 192.0.2.7 198.51.100.9 4660 443\n',
  'PROXY TCP4 192.0.2.7 198.51.100.9 4660 443\r\r\n',
  'PROXY TCP4 192.0.2.7 198.51.100.9 4660\r\n',
  'PROXY TCP4 192.0.2.7 198.51.100.9 4660 443 \r\n',
  'PROXY TCP4  192.0.2.7 198.51.100.9 4660 443\r\n',
  'PROXY TCP4\t192.0.2.7 198.51.100.9 4660 443\r\n',
  'PROXY TCP4 192.0.2.7 198.51.100.9 04660 443\r\n',
  'PROXY TCP4 192.0.2.7 198.51.100.9 65536 443\r\n',
  'PROXY TCP4 192.0.2.7 198.51.100.9 +1 443\r\n',
  'PROXY TCP4 192.0.2.7 198.51.100.9 -1 443\r\n',
  'PROXY TCP4 192.0.2.07 198.51.100.9 1 443\r\n',
  'PROXY TCP4 192.0.2.256 198.51.100.9 1 443\r\n',
  'PROXY TCP4 192.0.2 198.51.100.9 1 443\r\n',
  'PROXY TCP4 ::1 ::1 1 443\r\n',
  'PROXY TCP6 192.0.2.7 198.51.100.9 1 443\r\n',
  'PROXY TCP6 fe80::1%eth0 ::1 1 443\r\n',
  'PROXY TCP6 [::1] ::1 1 443\r\n',
  'PROXY TCP4 localhost 198.51.100.9 1 443\r\n',
  'PROXY TCP5 192.0.2.7 198.51.100.9 1 443\r\n',
  'PROXY tcp4 192.0.2.7 198.51.100.9 1 443\r\n',
  'PROXY UDP4 192.0.2.7 198.51.100.9 1 443\r\n',
  'PROXY \r\n',
  'PROXY / HTTP/1.1\r\n',
  `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`,
  `PROXY ${'x'.repeat(101)}`,
]

describe('a PROXY header of version 1', () => {
  for (const [line, client] of Object.entries(lines)) {
    it(`is read: ${JSON.stringify(line)}`, () => {
      const header = { bytes: line.length, client }
      assert.deepEqual(readText(line), header)
      assert.deepEqual(readText(`${line}PROXY TCP4 1`), header)
    })

    it(`is waited for byte by byte: ${JSON.stringify(line)}`, () => {
      for (let end = 0; end < line.length; end += 1) {
        assert.equal(readText(line.slice(0, end)), 'more', `${end} bytes`)
      }
    })
  }

  for (const line of brokenLines) {
    it(`is refused: ${JSON.stringify(line)}`, () => assert.notEqual(brokenBy(line), undefined))
  }

  it('has 107 bytes at most', () => {
    const line = `PROXY UNKNOWN ${'x'.repeat(91)}\r\n`
    assert.equal(line.length, 107)
    assert.deepEqual(readText(line), { bytes: 107, client: 'unknown' })
    assert.equal(brokenBy(`PROXY UNKNOWN ${'x'.repeat(92)}\r`), 'a line of more than 107 bytes')
  })
})

const INET6 = Buffer.from(
  '20010db8000000000000000000000007000000000000000000000000000000010001fffe',
  'hex',
)

describe('a PROXY header of version 2', () => {
  const read = {
    'IPv4 over TCP': [binaryHeader(), { peerAddress: '192.0.2.7', peerPort: 4660, ...TO }],
    'IPv4 over UDP': [
      binaryHeader({ family: 0x12 }),
      { peerAddress: '192.0.2.7', peerPort: 4660, ...TO },
    ],
    'IPv6 over TCP': [
      binaryHeader({ family: 0x21, addresses: INET6 }),
      { peerAddress: '2001:db8::7', peerPort: 1, localAddress: '::1', localPort: 65_534 },
    ],
    'a unix socket': [binaryHeader({ family: 0x31, addresses: Buffer.alloc(216, 'a') }), 'unknown'],
    'no family': [binaryHeader({ family: 0, addresses: [] }), 'unknown'],
    'IPv4 over nothing': [binaryHeader({ family: 0x10 }), 'unknown'],
    'the proxy itself': [binaryHeader({ start: 0x20, family: 0, addresses: [] }), 'own'],
    'the proxy itself, with what does not matter': [
      binaryHeader({ start: 0x20, family: 0xff, addresses: [1, 2, 3] }),
      'own',
    ],
    'values that nobody knows': [
      binaryHeader({
        values: [
          typeLengthValue(0xe0, 'x'.repeat(300)),
          typeLengthValue(4, ''),
          typeLengthValue(2, 'a.b'),
        ],
      }),
      { peerAddress: '192.0.2.7', peerPort: 4660, ...TO },
    ],
  } as const

  for (const [what, [bytes, client]] of Object.entries(read)) {
    it(`is read: ${what}`, () => {
      const header = { bytes: bytes.length, client }
      assert.deepEqual(readProxyHeader(bytes), header)
      assert.deepEqual(readProxyHeader(Buffer.concat([bytes, SIGNATURE])), header)
    })

    it(`is waited for byte by byte: ${what}`, () => {
      for (let end = 0; end < bytes.length; end += 1) {
        assert.equal(readProxyHeader(bytes.subarray(0, end)), 'more', `${end} bytes`)
      }
    })
  }

  const broken = {
    'version 1': binaryHeader({ start: 0x11 }),
    'version 3': binaryHeader({ start: 0x31 }),
    'the command 2': binaryHeader({ start: 0x22 }),
    'an unknown family': binaryHeader({ family: 0x41 }),
    'an unknown transport': binaryHeader({ family: 0x13 }),
    'half an address of IPv4': binaryHeader({ addresses: IPV4.slice(0, 11) }),
    'an address of IPv4 for IPv6': binaryHeader({ family: 0x21 }),
    'half a unix path': binaryHeader({ family: 0x31, addresses: Buffer.alloc(215) }),
    'a value without a length': binaryHeader({ values: [Buffer.from([4])] }),
    'a value with half a length': binaryHeader({ values: [Buffer.from([4, 0])] }),
    'a value beyond the end': binaryHeader({ values: [Buffer.from([4, 0, 2, 1])] }),
    'a checksum of three bytes': binaryHeader({ values: [typeLengthValue(3, [1, 2, 3])] }),
    'a wrong checksum': binaryHeader({ values: [typeLengthValue(3, [1, 2, 3, 4])] }),
    'too long, before it is there': binaryHeader({ length: HEADER_BYTES_MAX - 15 }),
  }

  for (const [what, bytes] of Object.entries(broken)) {
    it(`is refused: ${what}`, () => assert.notEqual(brokenBy(bytes), undefined))
  }

  it('may have as many bytes as that', () => {
    const length = HEADER_BYTES_MAX - 16
    const values = [typeLengthValue(4, Buffer.alloc(length - 12 - 3))]
    const bytes = binaryHeader({ values })
    assert.equal(bytes.length, HEADER_BYTES_MAX)
    assert.equal((readProxyHeader(bytes) as { bytes: number }).bytes, HEADER_BYTES_MAX)
  })

  it('is read with the right checksum, and refused with any bit of the addresses or of itself turned', () => {
    const bytes = binaryHeader({
      values: [
        typeLengthValue(2, 'chat.example'),
        typeLengthValue(3, [0, 0, 0, 0]),
        typeLengthValue(5, 'id'),
      ],
    })
    const at = 16 + 12 + 15 + 3
    bytes.writeUInt32BE(crc32c([bytes]), at)
    assert.equal(brokenBy(bytes), undefined)
    const bits = Array.from({ length: bytes.length * 8 }, (_, bit) => bit)
    const turnable = bits.filter(
      (bit) => (bit >= 128 && bit < 224) || (bit >= at * 8 && bit < at * 8 + 32),
    )
    for (const bit of turnable) {
      const turned = Buffer.from(bytes)
      turned.writeUInt8(turned.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      assert.equal(brokenBy(turned), 'a wrong checksum', `bit ${bit}`)
    }
  })
})

describe('what is no PROXY header', () => {
  for (const text of [
    'GET / HTTP/1.1\r\n',
    'PUT /',
    'PROXYX',
    'PROPFIND',
    '\r\n\r\nGET',
    '\x16\x03\x01',
    'proxy ',
  ]) {
    it(`is the client's: ${JSON.stringify(text)}`, () => assert.equal(readText(text), 'none'))
  }

  it('never throws, and is no longer than its bytes', () => {
    const random = randomNumbers(20_260_101)
    const starts = [
      Buffer.alloc(0),
      Buffer.from('PROXY '),
      Buffer.from('PROXY TCP4 '),
      SIGNATURE,
      binaryHeader(),
    ]
    for (let run = 0; run < 20_000; run += 1) {
      const start = starts[run % starts.length] as Buffer
      const rest = Buffer.from(Array.from({ length: random(80) }, () => random(256)))
      const bytes = Buffer.concat([start.subarray(0, random(start.length + 1)), rest])
      const backing = Buffer.concat([bytes, Buffer.alloc(4096, 'PROXY')])
      const read = readProxyHeader(backing.subarray(0, bytes.length))
      if (typeof read === 'object' && 'bytes' in read) assert.ok(read.bytes <= bytes.length)
      assert.deepEqual(read, readProxyHeader(Buffer.from(bytes)))
    }
  })
})
