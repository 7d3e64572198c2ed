// The console: setting it up, the second factor, the overview, settings, the audit log; on a phone and without scripts.
//   REFLOOP_URL, REFLOOP_SHOTS      as for all browser tests
//   REFLOOP_LINK                    the first operator's one-time link
//   REFLOOP_PASSWORD                what the operator signs in with
//   REFLOOP_NOW_MS                  the server's time, which stands still
import { createHmac } from 'node:crypto';
import { check, equal, inspect, newPage, origin, placeOf, run } from './harness.mjs';

const { REFLOOP_LINK: link, REFLOOP_PASSWORD: password } = process.env;
const now = Number(process.env.REFLOOP_NOW_MS);
const EMAIL = 'owner@example.com';
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

function totp(secret, step) {
  let bits = '';
  for (const letter of secret) bits += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const digest = createHmac('sha1', key).update(counter).digest();
  const word = digest.readUInt32BE(digest[19] & 15) & 0x7fffffff;
  return String(word % 1_000_000).padStart(6, '0');
}

run(async (browser) => {
  const page = await newPage(browser);
  await page.goto(link);
  await inspect(page, 'admin-join');
  await page.getByLabel('E-mail').fill(EMAIL);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Open the console' }).click();
  equal('the first page', placeOf(page), '/admin');
  await inspect(page, 'console-projects');

  await page.getByRole('link', { name: 'Developer API' }).click();
  equal('the overview', placeOf(page), '/admin/default');
  equal('the books', await page.locator('#balanced').textContent(), 'They balance');
  equal('what was issued', await page.locator('#issued').textContent(), await page.locator('#accounted').textContent());
  await inspect(page, 'console-overview');

  await page.getByRole('link', { name: EMAIL }).click();
  await page.getByRole('button', { name: 'Set it up' }).click();
  const secret = await page.locator('#secret').textContent();
  await inspect(page, 'console-second-factor');
  const step = Math.floor(now / 30_000);
  await page.getByLabel('Code that the app shows').fill(totp(secret, step));
  await page.locator('#on-password').fill(password);
  await page.getByRole('button', { name: 'Switch it on' }).click();
  equal('recovery codes', await page.locator('#codes code').count(), 10);
  const recovery = await page.locator('#codes code').first().textContent();
  await inspect(page, 'console-account');

  await page.getByRole('link', { name: 'Operators' }).click();
  await page.getByRole('button', { name: 'Make a link' }).click();
  check('the link is shown', (await page.locator('#link').textContent()).startsWith(`${origin}/admin/join?token=`));
  await inspect(page, 'console-operators');

  await page.goto(`${origin}/admin/default/settings`);
  await page.getByLabel('Name', { exact: true }).fill('Example API');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  check('it says so', await page.getByText('The settings are saved.').isVisible());
  await inspect(page, 'console-settings');

  await page.getByRole('link', { name: 'Rate limits' }).click();
  await inspect(page, 'console-limits');

  await page.goto(`${origin}/admin/default/audit`);
  for (const action of ['operator.join', 'operator.second_factor_on', 'operator.invite', 'project.change']) {
    check(`${action} is in the log`, await page.getByText(action, { exact: true }).first().isVisible());
  }
  await inspect(page, 'console-audit');
  await page.getByLabel('What', { exact: true }).fill('project');
  await page.getByRole('button', { name: 'Filter' }).click();
  equal('rows that match', await page.locator('tbody tr').count(), 1);
  await page.getByRole('button', { name: 'Sign out' }).click();
  equal('signed out', placeOf(page), '/admin/login');

  // On a phone, by a recovery code, as the clock stands still and the newest code was taken.
  const phone = await newPage(browser, PHONE);
  await phone.goto(`${origin}/admin/default`);
  await phone.getByLabel('E-mail').fill(EMAIL);
  await phone.getByLabel('Password', { exact: true }).fill(password);
  await phone.getByRole('button', { name: 'Sign in' }).click();
  equal('the second step', placeOf(phone), '/admin/login/code');
  await inspect(phone, 'admin-code');
  await phone.getByLabel('Code').fill(totp(secret, step));
  await phone.getByRole('button', { name: 'Sign in' }).click();
  check('a code is good once', await phone.getByText('The code is wrong').isVisible());
  await phone.getByLabel('Code').fill(recovery);
  await phone.getByRole('button', { name: 'Sign in' }).click();
  equal('where the phone wanted to go', placeOf(phone), '/admin/default');
  await phone.setViewportSize(PHONE.viewport);
  check('the menu is folded', !(await phone.getByRole('link', { name: 'Audit log' }).isVisible()));
  await phone.getByLabel('Show the menu').check();
  check('and unfolds', await phone.getByRole('link', { name: 'Audit log' }).isVisible());
  await inspect(phone, 'console-menu');
  await phone.setViewportSize(PHONE.viewport);
  await phone.getByRole('link', { name: 'Audit log' }).click();
  equal('the log', placeOf(phone), '/admin/default/audit');

  // Without scripts everything works the same.
  const plain = await newPage(browser, { javaScriptEnabled: false });
  await plain.context().addCookies(await phone.context().cookies());
  await plain.goto(`${origin}/admin/default/settings`);
  await plain.getByLabel('Name', { exact: true }).fill('Plain API');
  await plain.getByRole('button', { name: 'Save', exact: true }).click();
  check('it is saved', await plain.getByText('The settings are saved.').isVisible());
  await plain.locator('.switch summary').click();
  await plain.getByRole('link', { name: 'All projects' }).click();
  equal('all projects', placeOf(plain), '/admin');
});
