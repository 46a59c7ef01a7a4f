/** Whether the files that a configuration names are there, can be read, and hold what they should. */

import { createPrivateKey, createPublicKey } from 'node:crypto'
import type { JsonWebKey, KeyObject, X509Certificate } from 'node:crypto'
import { resolve } from 'node:path'

import type { Parts } from './parts.ts'
import { certificatesIn, revocationListsIn, whyNotUsable } from './pem.ts'
import type { Finding, Path } from './problem.ts'
import { readFailure, readRegularFile } from './read-file.ts'

interface Results {
  readonly findings: Finding[]
  readonly warnings: Finding[]
}

/** `directory` is the one that relative files start from. */
export function fileChecks(parts: Parts, directory: string): Results {
  const results: Results = { findings: [], warnings: [] }
  const read = (path: Path, file: string): string | undefined => {
    const absolute = resolve(directory, file)
    try {
      return readRegularFile(absolute).toString()
    } catch (error) {
      results.findings.push({ path, text: `${absolute} cannot be read: ${readFailure(error)}` })
      return undefined
    }
  }
  const readPair = (path: Path, { cert, key }: PairOfFiles, ciphers?: string): void => {
    const certificate = read([...path, 'cert'], cert)
    checkTls(path, { certificate, key: read([...path, 'key'], key), ciphers }, results)
  }
  for (const { path, value } of parts.listeners) {
    if (value.tls === undefined) continue
    const { cert, key, certificates, ciphers } = value.tls
    if (cert !== undefined && key !== undefined) readPair([...path, 'tls'], { cert, key }, ciphers)
    for (const [index, pair] of certificates.entries()) {
      readPair([...path, 'tls', 'certificates', index], pair, ciphers)
    }
    const { clientCa, crl } = value.tls
    const caPath = [...path, 'tls', 'clientCa']
    const ca = clientCa === undefined ? undefined : read(caPath, clientCa)
    if (ca !== undefined) parseCertificate(caPath, ca, results)
    const crlPath = [...path, 'tls', 'crl']
    const lists = crl === undefined ? undefined : read(crlPath, crl)
    if (lists !== undefined) checkRevoked(crlPath, lists, results)
  }
  if (parts.admin !== undefined && parts.admin.value !== 'off' && parts.admin.value.tls) {
    readPair([...parts.admin.path, 'tls'], parts.admin.value.tls)
  }
  for (const { path, value } of parts.upstreams) {
    const tlsPath = [...path, 'tls']
    const caPath = [...tlsPath, 'ca']
    const readAny = (key: string, file: string | undefined) =>
      file === undefined ? undefined : read([...tlsPath, key], file)
    const ca = readAny('ca', value.tls.ca)
    if (ca !== undefined) parseCertificate(caPath, ca, results)
    const certificate = readAny('cert', value.tls.cert)
    const key = readAny('key', value.tls.key)
    checkTls(tlsPath, { certificate, key, ciphers: undefined }, results)
  }
  for (const { path, value } of parts.auth) {
    if (value.type === 'basic') read([...path, 'users'], value.users)
    if (value.type === 'apiKey') read([...path, 'keys'], value.keys)
    if (value.type === 'jwt' && value.publicKey !== undefined) {
      const keyPath = [...path, 'publicKey']
      const key = read(keyPath, value.publicKey)
      if (key !== undefined) checkPublicKey(keyPath, key, results)
    }
  }
  return results
}

interface PairOfFiles {
  readonly cert: string
  readonly key: string
}

interface TlsFiles {
  readonly certificate: string | undefined
  readonly key: string | undefined
  /** Where they are not Node's. */
  readonly ciphers: string | undefined
}

function checkTls(path: Path, files: TlsFiles, results: Results): void {
  const certPath = [...path, 'cert']
  const keyPath = [...path, 'key']
  const certificate =
    files.certificate === undefined
      ? undefined
      : parseCertificate(certPath, files.certificate, results)
  const key = files.key === undefined ? undefined : parsePrivateKey(keyPath, files.key, results)
  if (certificate === undefined || key === undefined) return
  if (!certificate.checkPrivateKey(key)) {
    const text = 'this key does not belong to the certificate in cert'
    results.findings.push({ path: keyPath, text })
    return
  }
  const failure = whyUnusable(files)
  if (failure !== undefined) {
    results.findings.push({ path: certPath, text: `OpenSSL does not take it: ${failure}` })
  }
}

/** Ciphers that are wrong themselves are told of elsewhere. */
function whyUnusable({ certificate, key, ciphers }: TlsFiles): string | undefined {
  if (ciphers === undefined) return whyNotUsable({ cert: certificate, key })
  if (whyNotUsable({ ciphers }) !== undefined) return undefined
  return whyNotUsable({ cert: certificate, key, ciphers })
}

/** All certificates of a PEM file; the first. One that is out of date is told as a warning: peers refuse it, the gateway runs. */
function parseCertificate(path: Path, pem: string, results: Results): X509Certificate | undefined {
  try {
    const [certificate] = certificatesIn(pem)
    const now = Date.now()
    if (certificate.validToDate.getTime() < now) {
      results.warnings.push({ path, text: `the certificate expired on ${certificate.validTo}` })
    } else if (certificate.validFromDate.getTime() > now) {
      const text = `the certificate is not valid before ${certificate.validFrom}`
      results.warnings.push({ path, text })
    }
    return certificate
  } catch (error) {
    results.findings.push({ path, text: `the file ${(error as Error).message}` })
    return undefined
  }
}

function checkRevoked(path: Path, pem: string, results: Results): void {
  try {
    revocationListsIn(pem)
  } catch (error) {
    results.findings.push({ path, text: `the file ${(error as Error).message}` })
  }
}

function parsePrivateKey(path: Path, pem: string, results: Results): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    const text = pem.includes('ENCRYPTED')
      ? 'the private key is encrypted; expected one without a passphrase'
      : 'the file holds no private key in PEM format'
    results.findings.push({ path, text })
    return undefined
  }
}

const privateKeyText = 'the file holds a private key; expected the public one, which cannot sign'

/** A PEM file or a JWK. A private key would work as well, but does not belong here. */
function checkPublicKey(path: Path, content: string, results: Results): void {
  if (content.includes('PRIVATE KEY-----')) {
    results.findings.push({ path, text: privateKeyText })
    return
  }
  try {
    if (content.trimStart().startsWith('{')) {
      const jwk = JSON.parse(content) as JsonWebKey
      if (jwk.d !== undefined) {
        results.findings.push({ path, text: privateKeyText })
        return
      }
      createPublicKey({ key: jwk, format: 'jwk' })
    } else {
      createPublicKey(content)
    }
  } catch {
    const text = 'the file holds no public key: expected PEM (a key or a certificate) or a JWK'
    results.findings.push({ path, text })
  }
}
