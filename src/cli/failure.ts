/** Why a command has come to nothing: a message for the operator, and the exit code that tells it to scripts. */

/** 1 refused or not found, 2 a wrong command line, 3 no gateway there. */
export type FailureCode = 1 | 2 | 3

export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: FailureCode

  constructor(exitCode: FailureCode, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}
