/** A self-signed certificate for the run, by the openssl program. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Certificate } from './peer.ts'

const command = '/usr/bin/openssl'
/** The name that the load generator asks for. */
const host = 'chat.example.com'

/** The files, or why there are none. */
export function makeCertificate(directory: string): Certificate | string {
  const certificateFile = join(directory, 'certificate.pem')
  const keyFile = join(directory, 'key.pem')
  const bothFile = join(directory, 'both.pem')
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const subject = ['-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`, '-days', '2']
  const files = ['-keyout', keyFile, '-out', certificateFile]
  const { error, status, stderr } = spawnSync(
    command,
    ['req', '-x509', ...key, ...subject, ...files],
    { encoding: 'utf8' },
  )
  if (error !== undefined) return `${command} does not run: ${error.message}`
  if (status !== 0) return `${command} makes no certificate: ${stderr.trim().slice(-200)}`
  writeFileSync(bothFile, readFileSync(certificateFile, 'utf8') + readFileSync(keyFile, 'utf8'))
  return { certificateFile, keyFile, bothFile }
}
