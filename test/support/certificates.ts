/** Certificates for one test, made by openssl: an authority, what it issues, and its list of what it has revoked. */

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findProgram } from './programs.ts'

export const openssl = findProgram('openssl')

const run = promisify(execFile)

/** PEM texts. */
export interface Issued {
  readonly cert: string
  readonly key: string
}

export interface Wanted {
  /** As openssl takes it: `/CN=alice`. Empty for none. */
  readonly subject?: string
  /** As openssl takes them: `DNS:a.test`, `URI:spiffe://a`. */
  readonly names?: readonly string[]
  /** `weak` is RSA with fewer bits than OpenSSL takes. */
  readonly keyType?: keyof typeof KEYS
  /** From now on; 1 unless given. */
  readonly days?: number
}

const KEYS = {
  ec: ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  rsa: ['rsa:2048'],
  weak: ['rsa:1024'],
} as const

const CONFIG = `
[req]
distinguished_name = name
[name]
[ca]
default_ca = authority
[authority]
database = ./index.txt
crlnumber = ./crlnumber
default_md = sha256
default_crl_days = 1
`

export class TestAuthority implements AsyncDisposable {
  readonly #folder: string
  #issued = 0

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async create(subject = '/CN=Test Authority'): Promise<TestAuthority> {
    const folder = await mkdtemp(join(tmpdir(), 'upgate-ca-'))
    const authority = new TestAuthority(folder)
    await writeFile(join(folder, 'openssl.cnf'), CONFIG)
    await writeFile(join(folder, 'index.txt'), '')
    await writeFile(join(folder, 'crlnumber'), '01')
    const usage = 'keyUsage=critical,keyCertSign,cRLSign'
    const extensions = ['basicConstraints=critical,CA:TRUE', usage]
    await authority.#request('ca', { subject, days: 10 }, extensions, [])
    return authority
  }

  /** Where its certificate is. */
  get certFile(): string {
    return join(this.#folder, 'ca.pem')
  }

  get cert(): Promise<string> {
    return this.#read('ca.pem')
  }

  async issue({ names = [], ...wanted }: Wanted): Promise<Issued> {
    this.#issued += 1
    const file = `issued-${this.#issued}`
    const extensions = ['basicConstraints=CA:FALSE']
    if (names.length > 0) extensions.push(`subjectAltName=${names.join(',')}`)
    await this.#request(file, wanted, extensions, ['-CA', 'ca.pem', '-CAkey', 'ca.key'])
    return { cert: await this.#read(`${file}.pem`), key: await this.#read(`${file}.key`) }
  }

  /** A file with both, as curl takes it. */
  async save({ cert, key }: Issued): Promise<string> {
    const file = join(this.#folder, 'saved.pem')
    await writeFile(file, cert + key)
    return file
  }

  /** Its list of revoked certificates, with these among them. */
  async revoke(...certs: readonly string[]): Promise<string> {
    for (const cert of certs) {
      await writeFile(join(this.#folder, 'revoked.pem'), cert)
      await this.#ca('-revoke', 'revoked.pem')
    }
    await this.#ca('-gencrl', '-out', 'crl.pem')
    return this.#read('crl.pem')
  }

  /** A list that is out of date. */
  async outdatedList(): Promise<string> {
    const times = ['-crl_lastupdate', '20200101000000Z', '-crl_nextupdate', '20200102000000Z']
    await this.#ca('-gencrl', ...times, '-out', 'outdated.pem')
    return this.#read('outdated.pem')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true })
  }

  async #request(
    file: string,
    { subject = '/', keyType = 'ec', days = 1 }: Wanted,
    extensions: readonly string[],
    signer: readonly string[],
  ): Promise<void> {
    const files = ['-keyout', `${file}.key`, '-out', `${file}.pem`]
    const added = extensions.flatMap((extension) => ['-addext', extension])
    const request = [
      'req',
      '-x509',
      '-config',
      'openssl.cnf',
      '-utf8',
      '-nodes',
      '-newkey',
      ...KEYS[keyType],
    ]
    const about = ['-subj', subject, '-days', String(days)]
    await this.#openssl(...request, ...files, ...about, ...added, ...signer)
  }

  async #ca(...args: readonly string[]): Promise<void> {
    const authority = ['-config', 'openssl.cnf', '-cert', 'ca.pem', '-keyfile', 'ca.key']
    await this.#openssl('ca', ...authority, ...args)
  }

  async #openssl(...args: readonly string[]): Promise<void> {
    await run(openssl.path, [...args], { cwd: this.#folder })
  }

  #read(file: string): Promise<string> {
    return readFile(join(this.#folder, file), 'utf8')
  }
}
