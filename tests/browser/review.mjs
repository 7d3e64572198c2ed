// An operator who has never seen the console finds a farmer, sees why he is held, and rejects his referrals together.
//   REFLOOP_EMAIL, REFLOOP_PASSWORD  of an operator; the default project has a farmer with fourteen held referrals
//   REFLOOP_FARM                     the farmer's code
import { check, equal, inspect, newPage, origin, placeOf, run } from './harness.mjs';

const setting = (name) => {
  if (process.env[name]) return process.env[name];
  console.error(`${name} is not set`);
  process.exit(1);
};
const [email, password, farm] = ['REFLOOP_EMAIL', 'REFLOOP_PASSWORD', 'REFLOOP_FARM'].map(setting);

async function signIn(page) {
  await page.goto(`${origin}/admin/default/review`);
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL('**/review');
}

await run(async (browser) => {
  const page = await newPage(browser);
  await signIn(page);
  equal('the heading', await page.locator('h1').textContent(), 'Review');
  const waiting = page.locator('[data-queue] > li');
  equal('how many wait', await waiting.count(), 14);
  check('why, in words', (await waiting.first().textContent()).includes('where the referrer was on the same day'));
  await inspect(page, 'console-review');

  // By keyboard: the second one's history, and back; help; and one is cleared.
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  equal('the focus', await page.evaluate(() => document.activeElement.id), await waiting.nth(1).getAttribute('id'));
  await page.keyboard.press('?');
  check('help', await page.locator('#help').isVisible());
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/review/ref_*');
  check('every decision', (await page.locator('main').textContent()).includes('Every decision'));
  check('the decision that held it', (await page.getByRole('table').last().textContent()).includes('held'));
  await inspect(page, 'console-review-one');
  await page.goBack();
  await page.keyboard.press('j');
  await page.keyboard.press('e');
  await page.keyboard.type('A shop that we know');
  await page.keyboard.press('Escape');
  await page.keyboard.press('c');
  await page.locator('.done').waitFor();
  check('it says what was done', (await page.locator('.done').textContent()).startsWith('Cleared'));
  equal('how many wait now', await waiting.count(), 13);

  // Once is a warning, twice rejects.
  await page.keyboard.press('j');
  await page.keyboard.press('r');
  equal('nothing yet', await page.locator('.done').textContent().then((text) => text.startsWith('Rejected')).catch(() => false), false);
  await page.keyboard.press('r');
  await page.getByText('Rejected: what').waitFor();
  equal('how many wait now', await waiting.count(), 12);

  // All of the farmer's, after a look at the sums.
  await waiting.first().getByRole('link', { name: farm }).click();
  await page.getByRole('link', { name: `Reject all with ${farm}…` }).click();
  equal('the preview', placeOf(page), '/admin/default/review/reject');
  const sums = await page.locator('.metrics').textContent();
  check('thirteen are left, the cleared one too', sums.includes('13'), sums);
  await inspect(page, 'console-review-bulk');
  await page.getByLabel('Reason, for the record').fill('One address, one hundred calls each');
  await page.getByRole('button', { name: 'Reject 13 referrals' }).click();
  await page.getByText('Rejected: 13 referrals').waitFor();
  equal('nobody waits', await waiting.count(), 0);
  await inspect(page, 'console-review-empty');

  // Without JavaScript: the rejected ones, and one of them is opened again.
  const plain = await newPage(browser, { javaScriptEnabled: false });
  await signIn(plain);
  await plain.getByRole('link', { name: 'Rejected' }).click();
  await plain.locator('.queued a').first().click();
  await plain.getByRole('button', { name: 'Open again' }).click();
  check('it says so', (await plain.locator('.done').textContent()).startsWith('Cleared'));
  equal('where it leads', placeOf(plain).startsWith('/admin/default/review/ref_'), true);
});
