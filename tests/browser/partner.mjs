// The partner's page in a real browser: from the agreement to the money in one walk, with and without JavaScript, on a
// desk and on a phone, with each state looked at.
//   REFLOOP_URL        a running server whose program pays commissions, with alice@alice.example, who has earned 75.00 USD
//                      of them, and dora@dora.example, who has earned 50.00 USD
//   REFLOOP_STRIPE     the stand-in for Stripe that it talks to, which has pages
//   REFLOOP_PASSWORD   everybody's password
//   REFLOOP_SHOTS      optional: a directory for screenshots
// What others do meanwhile is asked for on standard output, and answered with a line on standard input.
import { createInterface } from 'node:readline';
import { check, equal, inspect, newPage, origin, placeOf, run } from './harness.mjs';

const stripe = new URL(process.env.REFLOOP_STRIPE).origin;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function elsewhere(what) {
  console.log(what);
  equal(`the answer to ${what}`, (await answers.next()).value, 'done');
}

const PAGE = `${origin}/dashboard/partner`;
const submit = (page, form) => page.locator(`form:has(input[name=form][value=${form}]) button[type=submit]`);

async function signIn(page, email) {
  await page.goto(`${origin}/login`);
  await page.fill('#email', email);
  await page.fill('#password', process.env.REFLOOP_PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForURL(`${origin}/dashboard`);
}

async function says(page, what, selector, words) {
  const text = (await page.locator(selector).first().innerText()).replace(/\s+/g, ' ').trim();
  check(`${what} says ${words}`, text.includes(words), text);
}

async function walk(browser) {
  const page = await newPage(browser);
  await signIn(page, 'alice@alice.example');
  await says(page, 'the card', '.tracks', 'Basic Your track 5% of what');
  await inspect(page, 'partner-00-overview-basic');
  await page.getByRole('link', { name: 'Upgrade to Partner' }).click();
  await page.waitForURL(PAGE);
  equal('headings of the first level', await page.locator('h1').count(), 1);
  await inspect(page, 'partner-01-basic');

  // Nothing is ticked, nothing typed: the page says so, and the summary leads to the fields.
  await submit(page, 'upgrade').click();
  await says(page, 'the summary', '#errors', 'The agreement is not signed yet');
  equal('what has the focus', await page.evaluate(() => document.activeElement.id), 'errors');
  await page.locator('#errors a').last().click();
  equal('what has the focus', await page.evaluate(() => document.activeElement.id), 'signature');
  await inspect(page, 'partner-02-unsigned');
  await page.fill('#signature', 'Alice Doe');
  await page.getByLabel('I have read the agreement').check();
  await submit(page, 'upgrade').click();
  await says(page, 'the page', '.done', 'You are a partner.');
  equal('the place', placeOf(page), '/dashboard/partner');
  await inspect(page, 'partner-03-signed');

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download what you signed' }).click()]);
  equal('the file', download.suggestedFilename(), 'partner-agreement-1.md');

  // Stripe is down, and then it is not.
  await elsewhere('stripe down');
  await submit(page, 'connect').click();
  await says(page, 'the page', '#errors', 'Stripe cannot be reached');
  await inspect(page, 'partner-04-stripe-down');
  await elsewhere('stripe up');
  await submit(page, 'connect').click();
  await page.waitForURL(`${stripe}/setup/**`);
  await page.click('#later');
  await page.waitForURL(PAGE);
  await says(page, 'the page', '.missing', 'Your bank account');
  await inspect(page, 'partner-05-not-ready');
  await page.goto(`${PAGE}?stripe=refresh`);
  await says(page, 'the page', '.notice', 'The link to Stripe had expired');
  await inspect(page, 'partner-06-expired');
  await submit(page, 'connect').click();
  await page.waitForURL(`${stripe}/setup/**`);
  await page.click('#complete');
  await page.waitForURL(PAGE);
  await says(page, 'the page', '.done', 'Stripe is ready to pay out to you.');
  await inspect(page, 'partner-07-ready');

  await page.fill('#amount', '12');
  await submit(page, 'payout').click();
  await says(page, 'the field', '#amount-error', 'A payout is at least 25.00 USD');
  equal('what was typed', await page.inputValue('#amount'), '12');
  await inspect(page, 'partner-08-too-little');
  await page.fill('#amount', '30.00');
  await submit(page, 'payout').dblclick();
  await page.waitForURL(PAGE);
  await page.locator('.done').waitFor();
  await page.goto(PAGE);
  equal('payouts', await page.locator('.payouts tbody tr').count(), 1);
  await says(page, 'the payout', '.payouts tbody tr', 'Waiting for approval');
  await says(page, 'the page', '#unpayable', 'A payout of 30.00 USD is under way.');
  await inspect(page, 'partner-09-waiting');
  await elsewhere('approve');
  await page.reload();
  await says(page, 'the payout', '.payouts tbody tr', 'On its way');
  await inspect(page, 'partner-10-on-its-way');
  await elsewhere('work');
  await page.reload();
  await says(page, 'the payout', '.payouts tbody tr', 'Paid');
  await inspect(page, 'partner-11-paid');

  // The rest, which is filled in already.
  equal('the amount', await page.inputValue('#amount'), '45.00');
  await submit(page, 'payout').click();
  await says(page, 'the page', '.done', 'Your payout is requested.');
  await elsewhere('approve');
  await elsewhere('work');
  await page.reload();
  equal('payouts', await page.locator('.payouts .badge.good').count(), 2);
  await says(page, 'the page', '#unpayable', 'There is nothing to pay out yet.');
  await page.goto(`${origin}/dashboard`);
  await inspect(page, 'partner-12-overview-partner');

  await page.goto(PAGE);
  await page.locator('#leave summary').click();
  await inspect(page, 'partner-13-way-back');
  await submit(page, 'leave').click();
  await says(page, 'the page', '.done', 'You are on the basic track again.');
  await inspect(page, 'partner-14-basic-again');
  await page.context().close();
}

/** The same on a phone and without JavaScript. */
async function walkWithoutScript(browser) {
  const page = await newPage(browser, { javaScriptEnabled: false, viewport: { width: 390, height: 844 } });
  await signIn(page, 'dora@dora.example');
  await page.getByRole('link', { name: 'Upgrade to Partner' }).click();
  await page.fill('#signature', 'Dora Doe');
  await page.check('#accept');
  await submit(page, 'upgrade').click();
  await says(page, 'the page', '.done', 'You are a partner.');
  await submit(page, 'connect').click();
  await page.waitForURL(`${stripe}/setup/**`);
  await page.click('#later');
  await page.waitForURL(PAGE);
  await submit(page, 'check').click();
  await says(page, 'the page', '.done', 'something is still missing');
  await submit(page, 'connect').click();
  await page.waitForURL(`${stripe}/setup/**`);
  await page.click('#complete');
  await page.waitForURL(PAGE);
  await says(page, 'the page', '.done', 'Stripe is ready to pay out to you.');
  await submit(page, 'payout').click();
  await says(page, 'the page', '.done', 'Your payout is requested.');
  await elsewhere('approve');
  await elsewhere('work');
  await page.reload();
  await says(page, 'the payout', '.payouts tbody tr', 'Paid');
  await says(page, 'the payout', '.payouts tbody tr', '50.00 USD');
  await page.context().close();
}

/** Which mails one gets. */
async function letters(browser) {
  const page = await newPage(browser);
  await signIn(page, 'bob@bob.example');
  await page.goto(`${origin}/account`);
  equal('the box', await page.isChecked('#milestones'), true);
  await page.uncheck('#milestones');
  await page.getByRole('button', { name: 'Save choice' }).click();
  await says(page, 'the page', '.done', 'Your choice of mails is saved.');
  equal('the box', await page.isChecked('#milestones'), false);
  await inspect(page, 'account-letters');
  await page.context().close();
}

await run(async (browser) => {
  await walk(browser);
  await walkWithoutScript(browser);
  await letters(browser);
});
// Standard input is still open.
process.exit();
