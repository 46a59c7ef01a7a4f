import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LoadedCertificate } from '../../src/listen/tls-certificate.ts'
import { NameTable } from '../../src/listen/tls-names.ts'

function certificate(title: string, names: readonly string[], keyType = 'ec'): LoadedCertificate {
  return { title, names, keyType } as LoadedCertificate
}

function titles(group: readonly LoadedCertificate[] | undefined): string[] | undefined {
  return group?.map(({ title }) => title)
}

describe('NameTable', () => {
  const table = new NameTable([
    certificate('one', ['a.test', '*.b.test'], 'rsa'),
    certificate('two', ['c.test', '*.test']),
    certificate('three', ['a.test', 'c.test', 'x.b.test']),
  ])

  for (const [name, found] of [
    ['a.test', ['one', 'three']],
    ['c.test', ['two']],
    ['x.b.test', ['three']],
    ['y.b.test', ['one']],
    ['d.test', ['two']],
    ['y.d.test', undefined],
    ['test', undefined],
    ['.test', undefined],
    ['*.b.test', ['one']],
    ['', undefined],
    ['__proto__', undefined],
  ] as const) {
    it(`has for ${JSON.stringify(name)} ${found?.join(' and ') ?? 'nothing'}`, () => {
      assert.deepEqual(titles(table.find(name)), found)
    })
  }

  it('has the first name of the first certificate as the default', () => {
    assert.deepEqual(titles(table.default), ['one', 'three'])
    assert.deepEqual(titles(table.groups[0]), ['one', 'three'])
  })

  it('has each group once', () => {
    assert.equal(table.groups.length, 4)
    assert.equal(table.find('c.test'), table.find('d.test'))
  })
})
