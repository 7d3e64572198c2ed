// The pages that mail leads to, in a real browser and by the keyboard, and the mails themselves.
//   REFLOOP_URL     base URL of a running server with mail
//   REFLOOP_MAILS   a directory with the HTML of a mail each: milestone.html, confirm.html, reset.html
//   REFLOOP_SHOTS   optional: a directory for screenshots
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { check, inspect, newPage, origin, run } from './harness.mjs';

const mailsDir = process.env.REFLOOP_MAILS;
if (!mailsDir) {
  console.error('REFLOOP_MAILS is not set');
  process.exit(1);
}
const mail = (name) => readFileSync(join(mailsDir, `${name}.html`), 'utf8');
const heading = (page) => page.locator('h1').innerText();

/** A mail by itself: not as a part of the page before, whose policy would hold for it. */
async function show(page, name) {
  await page.goto('about:blank');
  await page.setContent(mail(name));
}

/** Opens a mail as a reader does, looks at it, and follows its link. */
async function follow(page, name, link) {
  await show(page, name);
  await inspect(page, `mail-${name}`);
  await page.getByRole('link', { name: link, exact: true }).click();
  await page.waitForLoadState();
}

async function chooseAPassword(page) {
  await page.goto(`${origin}/forgot`);
  await inspect(page, 'forgot');
  await page.getByLabel('E-mail').fill('alice');
  await page.keyboard.press('Enter');
  await page.locator('#errors').waitFor();
  check('the fault is in the title', (await page.title()).startsWith('Error: '), await page.title());
  check('the fault has the focus', await page.locator('#errors').evaluate((alert) => alert === document.activeElement));
  await inspect(page, 'forgot-fault');
  await page.getByLabel('E-mail').fill('alice@alice.example');
  await page.keyboard.press('Enter');
  await page.getByText('a mail with a link is on its way').waitFor();
  await inspect(page, 'forgot-sent');

  await follow(page, 'reset', 'Choose a new password');
  check('the form is for a password', await heading(page) === 'Choose a new password', await heading(page));
  await inspect(page, 'reset');
  await page.getByLabel('New password').fill('short');
  await page.keyboard.press('Enter');
  await page.getByText('Use at least 8 characters.').waitFor();
  check('what was typed is not given back', await page.locator('#password').inputValue() === '');
  await page.getByLabel('New password').fill('chosen in a browser');
  await page.getByRole('button', { name: 'Set the password' }).click();
  await page.getByText('Your password is changed').waitFor();
  await inspect(page, 'reset-done');
  await show(page, 'reset');
  await page.getByRole('link', { name: 'Choose a new password', exact: true }).click();
  await page.getByText('The link was used before').waitFor();
  await inspect(page, 'reset-used');
}

async function confirm(page) {
  await follow(page, 'confirm', 'Confirm the address');
  await inspect(page, 'confirm');
  await page.getByRole('button', { name: 'Confirm the address' }).click();
  await page.getByText('Your address is confirmed').waitFor();
  await page.getByText('starts with 1,000 credits').waitFor();
  await inspect(page, 'confirm-done');
}

async function decline(page) {
  await follow(page, 'milestone', 'No more mails about milestones');
  await inspect(page, 'unsubscribe');
  await page.getByRole('button', { name: 'No more such mails' }).click();
  await page.getByText('You get no more mails about milestones.').waitFor();
  await inspect(page, 'unsubscribe-done');
}

await run(async (browser) => {
  await chooseAPassword(await newPage(browser));
  await confirm(await newPage(browser));
  await decline(await newPage(browser));
});
