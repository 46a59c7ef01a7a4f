import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { atOnce } from '../../src/slices.ts'
import type { RouteConfig } from '../../src/config/config.ts'
import { compileRoutes, type Route } from '../../src/route/table.ts'

function config(name: string, hosts: string[] | undefined, regex?: string): RouteConfig {
  const match = {
    hosts,
    path: regex === undefined ? undefined : { kind: 'regex', regex },
    methods: undefined,
    headers: new Map(),
    query: new Map(),
  }
  return { name, match, upgrade: ['WebSocket'] } as unknown as RouteConfig
}

function names(routes: readonly Route[] | undefined): string[] | undefined {
  return routes?.map((route) => route.config.name)
}

describe('compileRoutes', () => {
  it('puts each route into the lists of its hosts, in the order of the file', () => {
    const routes = [
      config('a', ['x.example', '*.y.example']),
      config('b', undefined),
      config('c', ['X.example', 'z.example']),
    ]
    const table = atOnce(compileRoutes(routes))
    assert.deepEqual(names(table.byHost.get('x.example')), ['a', 'c'])
    assert.deepEqual(names(table.byHost.get('z.example')), ['c'])
    assert.deepEqual(names(table.bySuffix.get('y.example')), ['a'])
    assert.deepEqual(names(table.anyHost), ['b'])
    assert.equal(table.anyHost[0]?.index, 1)
    assert.equal(table.anyHost[0]?.config, routes[1])
  })

  it('compares tokens in lower case', () => {
    assert.deepEqual(
      atOnce(compileRoutes([config('a', undefined)])).anyHost[0]?.tokens,
      new Set(['websocket']),
    )
  })

  it('throws for a regex that is not RE2, since the configuration has been checked', () => {
    assert.throws(() => atOnce(compileRoutes([config('a', undefined, '(?=a)')])))
  })
})
