// An operator at work: finds a developer, adjusts, changes a reward after seeing what it would have cost, erases, and finds
// all of it in the audit log; then the other pages, on a phone and a desk, light and dark, and once without JavaScript.
//   REFLOOP_EMAIL, REFLOOP_PASSWORD  of an operator of the default project's team
//   REFLOOP_DEVELOPER                the id of a developer with an address at alice.example
import { check, equal, inspect, newPage, origin, placeOf, run } from './harness.mjs';

const { REFLOOP_EMAIL: email, REFLOOP_PASSWORD: password, REFLOOP_DEVELOPER: developer } = process.env;
const at = (rest) => `${origin}/admin/default/${rest}`;

async function signIn(page) {
  await page.goto(`${origin}/admin/login`);
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(/\/admin(?!\/login)/);
}

async function findAlice(page) {
  await page.goto(at('developers'));
  await page.getByLabel('Search').fill('alice@');
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'alice@alice.example' }).click();
  equal('the developer', placeOf(page), `/admin/default/developers/${developer}`);
}

async function adjust(page, what, amount, reason) {
  await page.getByLabel('What', { exact: true }).selectOption(what);
  await page.getByLabel(/^Amount/).fill(amount);
  await page.locator('#adjust-reason').fill(reason);
  await page.getByRole('button', { name: 'Adjust', exact: true }).click();
}

const done = (page) => page.locator('.done').textContent();

run(async (browser) => {
  const page = await newPage(browser);
  await signIn(page);

  await findAlice(page);
  await inspect(page, 'console-developer');
  await adjust(page, 'give', '250', 'support case 7');
  check('the credits are given', (await done(page)).includes('250 credits were given'), await done(page));
  await adjust(page, 'take', '1,000,000', 'by mistake');
  await page.getByText('Nothing was changed').waitFor();
  equal('the typed reason is kept', await page.locator('#adjust-reason').inputValue(), 'by mistake');
  await inspect(page, 'console-developer-error');

  await page.goto(at('program'));
  await inspect(page, 'console-program');
  await page.locator('[name="rules[1].amount"]').fill('750');
  await page.getByRole('button', { name: 'See what it would have cost' }).first().click();
  await page.getByRole('heading', { name: 'What it would have cost' }).waitFor();
  check('the difference is said', (await page.locator('#total').textContent()).includes('+'), await page.locator('#total').textContent());
  await inspect(page, 'console-preview');
  await page.getByLabel(/^Reason/).fill('spring campaign');
  await page.getByRole('button', { name: 'Save as the next version' }).click();
  check('it is saved', /Version \d+ is in force/.test(await done(page)), await done(page));

  for (const name of ['developers', 'payouts', 'deliveries', 'keys', 'exports']) {
    await page.goto(at(name));
    await inspect(page, `console-${name}`);
  }
  await page.goto(at('deliveries'));
  await page.locator('.rows a').first().click();
  await inspect(page, 'console-delivery');
  await page.goto(at('keys'));
  await page.locator('input[name="scope.usage:write"]').check();
  await page.getByRole('button', { name: 'Make key' }).click();
  await page.locator('#new-key').waitFor();
  await inspect(page, 'console-new-key');

  // Without JavaScript, and to the end.
  const plain = await newPage(browser, { javaScriptEnabled: false });
  await signIn(plain);
  await findAlice(plain);
  await plain.getByLabel(/to confirm$/).fill('alice');
  await plain.locator('#erase-reason').fill('asked to');
  await plain.getByRole('button', { name: 'Erase for good' }).click();
  check('nobody is erased by a slip', (await plain.textContent('main')).includes(`Type ${developer} to confirm it`));
  await plain.getByLabel(/to confirm$/).fill(developer);
  await plain.getByRole('button', { name: 'Erase for good' }).click();
  check('she is erased', (await done(plain)).includes('everything personal is gone'), await done(plain));

  await plain.goto(at('audit'));
  const log = await plain.textContent('main');
  for (const trace of ['account.adjust', 'support case 7', 'program.change', 'spring campaign', 'key.create', 'account.erase', 'asked to']) {
    check(`the audit log has ${trace}`, log.includes(trace));
  }
  check('what was refused is not in it', !log.includes('by mistake'));
});
