import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, it } from 'node:test'
import {
  dependenciesOf,
  readReadme,
  recipesOf,
  treeOf,
  whysOf,
  withTables,
} from '../support/readme.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const readme = readReadme()

interface PackageJson {
  readonly scripts: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly license: string
}

const packageJson = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as PackageJson

describe('README.md', () => {
  it('has the tables that the code makes (npm run readme writes them anew)', () => {
    assert.equal(readme, withTables(readme))
  })

  it('has a line for every file of src and native, and for no other', () => {
    const files = [...globSync('src/**/*.ts', { cwd: root }), ...nativeFiles()]
    const tree = treeOf(readme)
    assert.deepEqual([...tree.keys()].toSorted(), files.toSorted())
    const silent = [...tree].filter(([, text]) => text === '').map(([file]) => file)
    assert.deepEqual(silent, [])
  })

  it('knows the words for why a relay runs', () => {
    const sources = ['src/relay/engine.ts', 'src/relay/binding.ts', 'native/addon.c']
    const code = sources.map((file) => readFileSync(root + file, 'utf8')).join('')
    const words = whysOf(readme)
    assert.ok(words.length > 0)
    assert.deepEqual(
      words.filter((word) => !code.includes(word)),
      [],
    )
  })

  it('gives a reason for every dependency', () => {
    assert.deepEqual(dependenciesOf(readme), Object.keys(packageJson.dependencies))
  })

  it('names scripts of package.json alone', () => {
    const named = [...readme.matchAll(/npm run ([a-z:]+)/g)].map(([, name = '']) => name)
    assert.ok(named.length > 0)
    assert.deepEqual(
      named.filter((name) => !(name in packageJson.scripts)),
      [],
    )
  })

  it('links to files and headings that exist', () => {
    const headings = new Set(
      [...readme.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading)),
    )
    const links = [...readme.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
    const broken = links.filter((link) => {
      if (/^https?:/.test(link)) return false
      return link.startsWith('#') ? !headings.has(link.slice(1)) : !existsSync(root + link)
    })
    assert.deepEqual(broken, [])
  })

  it('names tests that exist', () => {
    const named = [...readme.matchAll(/`(test\/[\w./-]+\.ts)`/g)].map(([, name = '']) => name)
    assert.ok(named.length > 0)
    assert.deepEqual(
      named.filter((name) => !existsSync(root + name)),
      [],
    )
  })

  it('names the licence of package.json', () => {
    assert.ok(readme.includes(`${packageJson.license}, see [LICENSE](LICENSE)`))
  })

  it('has recipes that are all driven by the test of recipes', () => {
    const test = readFileSync(`${root}test/e2e/recipes.test.ts`, 'utf8')
    const undriven = [...recipesOf(readme).keys()].filter((name) => !test.includes(`'${name}'`))
    assert.deepEqual(undriven, [])
  })
})

/** Without the headers, which go with the C file of their name, and without the tests, which have one line together. */
function nativeFiles(): string[] {
  const names = globSync('*.{c,h,ts}', { cwd: `${root}native` })
  return names
    .filter((name) => !name.endsWith('.h') || !names.includes(name.replace(/h$/, 'c')))
    .map((name) => `native/${name}`)
}

/** As forges make them. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-')
}

describe('the tools for README.md', () => {
  it('refuse a table that nobody makes, and a text without all tables', () => {
    assert.throws(() => withTables('<!-- table: nothing -->\n<!-- end -->'), /no place for table/)
    assert.throws(() => withTables(''), /has no table config, metrics/)
  })

  it('refuse a recipe without a block', () => {
    assert.throws(() => recipesOf('<!-- recipe: empty -->\n\nText.\n'), /recipe empty/)
  })

  it('read folders of a tree by their indent', () => {
    const tree = '<!-- tree -->\n```\nsrc/\n  a.ts  first\n  b/\n    c.ts  second\n  d.ts\n```\n'
    assert.deepEqual(
      [...treeOf(tree)],
      [
        ['src/a.ts', 'first'],
        ['src/b/c.ts', 'second'],
        ['src/d.ts', ''],
      ],
    )
  })
})
