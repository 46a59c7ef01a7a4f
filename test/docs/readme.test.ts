import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, it } from 'node:test'
import { dependenciesOf, readReadme, recipesOf, treeOf, withTables } from '../support/readme.ts'

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

  it('has a line for every file of src, and for no other', () => {
    const files = globSync('**/*.ts', { cwd: `${root}src` })
    const tree = treeOf(readme)
    assert.deepEqual([...tree.keys()].toSorted(), files.map((file) => `src/${file}`).toSorted())
    const silent = [...tree].filter(([, text]) => text === '').map(([file]) => file)
    assert.deepEqual(silent, [])
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
