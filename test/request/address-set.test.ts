import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addressSet, plainAddress } from '../../src/request/address-set.ts'

describe('addressSet', () => {
  const cases: [name: string, blocks: string[], ip: string, inside: boolean][] = [
    ['an IPv4 address in its block', ['10.0.0.0/8'], '10.255.0.1', true],
    ['an IPv4 address beside its block', ['10.0.0.0/8'], '11.0.0.1', false],
    ['a single IPv4 address', ['192.0.2.7'], '192.0.2.7', true],
    ['the neighbour of a single IPv4 address', ['192.0.2.7'], '192.0.2.8', false],
    ['every IPv4 address in /0', ['0.0.0.0/0'], '203.0.113.9', true],
    ['an IPv6 address in its block', ['2001:db8::/32'], '2001:db8:1::5', true],
    ['an IPv6 address beside its block', ['2001:db8::/32'], '2001:db9::5', false],
    ['a single IPv6 address in another spelling', ['::1'], '0:0:0:0:0:0:0:1', true],
    ['a single IPv6 address written in upper case', ['2001:DB8::A'], '2001:db8::a', true],
    ['a mapped address in an IPv4 block', ['10.0.0.0/8'], '::ffff:10.1.2.3', true],
    ['a mapped address in hexadecimal in an IPv4 block', ['10.0.0.0/8'], '::ffff:0a01:0203', true],
    ['an IPv4 address in a mapped block', ['::ffff:10.0.0.0/104'], '10.1.2.3', true],
    ['an IPv4 address beside a mapped block', ['::ffff:10.0.0.0/104'], '11.1.2.3', false],
    ['an IPv4 address for a single mapped one', ['::ffff:192.0.2.7'], '192.0.2.7', true],
    ['IPv4 in the block of all IPv6', ['::/0'], '192.0.2.7', false],
    ['IPv4 in an IPv6 block that is wider than the mapping', ['::ffff:0:0/90'], '1.2.3.4', false],
    ['IPv6 in an IPv6 block that is wider than the mapping', ['::ffff:0:0/90'], '::fffe:0:1', true],
    ['IPv6 in the block of all IPv4', ['0.0.0.0/0'], '2001:db8::1', false],
    ['an address with a zone', ['fe80::/10'], 'fe80::1%eth0', true],
    ['the second of two blocks', ['10.0.0.0/8', '192.168.0.0/16'], '192.168.3.4', true],
    ['anything in no block', [], '127.0.0.1', false],
    ['text in every block', ['0.0.0.0/0', '::/0'], 'localhost', false],
    ['an address with a port', ['0.0.0.0/0'], '10.0.0.1:80', false],
    ['octal-looking numbers', ['0.0.0.0/0'], '010.0.0.1', false],
    ['a unix peer where nobody names it', ['0.0.0.0/0', '::/0'], '', false],
    ['a unix peer in no set', [], '', false],
    ['a unix peer where it is named', ['10.0.0.0/8', 'unix'], '', true],
    ['an address where unix alone is named', ['unix'], '127.0.0.1', false],
  ]
  for (const [name, blocks, ip, inside] of cases) {
    it(`${inside ? 'holds' : 'does not hold'} ${name}`, () => {
      assert.equal(addressSet(blocks).has(ip), inside)
    })
  }

  for (const block of ['nonsense', '10.0.0.0/33', '10.0.0.0/', '::1/129', '10.0.0.0/-1', '']) {
    it(`throws for the block ${JSON.stringify(block)}`, () => {
      assert.throws(() => addressSet([block]), TypeError)
    })
  }
})

describe('plainAddress', () => {
  const cases: [name: string, text: string, plain: string | undefined][] = [
    ['IPv4 as it is', '192.0.2.1', '192.0.2.1'],
    ['mapped IPv4 as IPv4', '::ffff:192.0.2.1', '192.0.2.1'],
    ['mapped IPv4 in capitals as IPv4', '::FFFF:192.0.2.1', '192.0.2.1'],
    ['mapped IPv4 in hexadecimal as IPv4', '0:0:0:0:0:ffff:c000:0201', '192.0.2.1'],
    ['IPv6 in lower case', '2001:DB8::A', '2001:db8::a'],
    ['IPv6 compressed', '2001:db8:0:0:0:0:0:1', '2001:db8::1'],
    ['IPv6 without brackets', '[::1]', '::1'],
    ['IPv6 without its zone', 'fe80::1%eth0', 'fe80::1'],
    ['what begins like a mapped address', '::ffff:1:2:3', '::ffff:1:2:3'],
    ['no address from a name', 'localhost', undefined],
    ['no address from the empty text', '', undefined],
    ['no address from one bracket', '[::1', undefined],
    ['no address from IPv4 with blanks', ' 10.0.0.1', undefined],
    ['no address from IPv4 in brackets', '[10.0.0.1]', undefined],
  ]
  for (const [name, text, plain] of cases) {
    it(`gives ${name}`, () => {
      assert.equal(plainAddress(text), plain)
    })
  }
})
