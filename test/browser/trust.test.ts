import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { Session } from './session.ts';

let session: Session;
before(async () => {
  session = await Session.open({
    files: { 'plain/train.py': 'print("never")\n' },
    workspaceTrust: true,
    settings: { 'security.workspace.trust.startupPrompt': 'never' },
  });
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(() => session?.close());

test('an untrusted folder: nothing is submitted, and the way out is offered', async () => {
  const { window } = session;
  await window.explorerMenu('plain', 'Submit Run...');
  const refusal = window.notification(/this folder is not trusted/);
  await refusal.waitFor();
  assert.equal(existsSync(path.join(session.home, 'server')), false, 'no server was started for it');
  await window.notificationButton(/this folder is not trusted/, 'Manage Workspace Trust');
  await window.page.getByText('You are in Restricted Mode').waitFor();
});
