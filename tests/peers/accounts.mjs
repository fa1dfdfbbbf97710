/** Tokens are `account.generation`; a refresh begins the next generation, and only that is accepted. */
export class Accounts {
  #generations = new Map();

  refreshes(account) {
    return this.#generations.get(account) ?? 0;
  }

  refresh(account) {
    this.#generations.set(account, this.refreshes(account) + 1);
    return `${account}.${this.refreshes(account)}`;
  }

  /** The account of an `authorization` header, or null. */
  account(authorization) {
    const [, account, generation] = /^Bearer (\w+)\.(\d+)$/.exec(authorization ?? "") ?? [];
    return account !== undefined && Number(generation) === this.refreshes(account) ? account : null;
  }
}
