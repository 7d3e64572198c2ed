-- refloop, schema version 1. This file is the whole schema; read it top to bottom.
--
-- Keys are integers. Where a row has a public id, its key is time-ordered (milliseconds in the upper bits) and the
-- text id is only another spelling of it: no second index, and new rows go to the end of their table.
-- Times are UTC milliseconds. Money and credits are integers in the unit of the project's program.

-- What makes this file this instance: the key that signs ledger heads, and the pepper of keyed hashes.
CREATE TABLE instance (
  id               INTEGER PRIMARY KEY CHECK (id = 1),
  signing_key      BLOB    NOT NULL CHECK (length(signing_key) = 32),
  pepper           BLOB    NOT NULL CHECK (length(pepper) = 32),
  setup_token_hash BLOB    CHECK (length(setup_token_hash) = 32),  -- the first operator's one-time link
  setup_used_at_ms INTEGER,
  visitor_key      BLOB    CHECK (length(visitor_key) = 32),       -- of visitors' hashes, for one UTC day
  visitor_key_day  INTEGER,                                        -- days since 1970-01-01
  created_at_ms    INTEGER NOT NULL,
  ready_at_ms      INTEGER,                                       -- when readiness was last tried with a write
  restored_at_ms   INTEGER,                                       -- when this file was put back from a backup
  CHECK ((visitor_key IS NULL) = (visitor_key_day IS NULL))
) STRICT;

CREATE TABLE team (
  id            INTEGER PRIMARY KEY,
  slug          TEXT    NOT NULL UNIQUE,
  name          TEXT    NOT NULL,
  created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE project (
  id            INTEGER PRIMARY KEY,
  team_id       INTEGER NOT NULL REFERENCES team,
  slug          TEXT    NOT NULL UNIQUE,
  name          TEXT    NOT NULL,
  mode          TEXT    NOT NULL CHECK (mode IN ('live', 'test')),
  host          TEXT    UNIQUE,                                    -- whose pages and signups are this project's
  landing_url   TEXT,
  key_prefix    TEXT    NOT NULL,                                  -- of developer keys: bw in bw_live_…
  jwt_algorithm TEXT    CHECK (jwt_algorithm IN ('HS256', 'RS256', 'ES256', 'EdDSA')),
  jwt_key       TEXT,                                              -- HS256's secret, else a public key in PEM
  stripe_webhook_secrets TEXT,                                     -- one a line, several while they are rotated
  stripe_api_key TEXT,
  clock_ahead_ms INTEGER NOT NULL DEFAULT 0 CHECK (clock_ahead_ms >= 0),  -- how far a test project's clock was moved
  created_at_ms INTEGER NOT NULL,
  CHECK (mode = 'test' OR clock_ahead_ms = 0)
) STRICT;

-- Who runs a team's projects. Sessions are stored as hashes, like keys. Who was removed keeps the row, as the audit log
-- names it, without anything that says who it was.
CREATE TABLE operator (
  id            INTEGER PRIMARY KEY,
  team_id       INTEGER NOT NULL REFERENCES team,
  email         TEXT    UNIQUE,                                    -- lower case, the domain in ASCII
  password_hash TEXT,
  role          TEXT    NOT NULL CHECK (role IN ('owner', 'operator', 'read_only')),
  totp_secret   BLOB    CHECK (length(totp_secret) = 20),          -- of the second factor; NULL: has none
  totp_step     INTEGER,                                           -- of the newest code that was taken
  created_at_ms INTEGER NOT NULL,
  removed_at_ms INTEGER,
  CHECK ((removed_at_ms IS NULL) = (email IS NOT NULL)),
  CHECK ((email IS NULL) = (password_hash IS NULL)),
  CHECK ((totp_secret IS NULL) = (totp_step IS NULL)),
  CHECK (removed_at_ms IS NULL OR totp_secret IS NULL)
) STRICT;
CREATE INDEX operator_team ON operator (team_id, id) WHERE removed_at_ms IS NULL;

-- For when the second factor is lost: hashes, each of a code that is taken once.
CREATE TABLE operator_recovery (
  operator_id INTEGER NOT NULL REFERENCES operator,
  hash        BLOB    NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (operator_id, hash)
) STRICT, WITHOUT ROWID;

-- One-time links for new operators, by the hash of their secret. The first operator's is kept with the instance.
CREATE TABLE operator_invitation (
  id            INTEGER PRIMARY KEY,
  team_id       INTEGER NOT NULL REFERENCES team,
  role          TEXT    NOT NULL CHECK (role IN ('owner', 'operator', 'read_only')),
  hash          BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  invited_by    INTEGER NOT NULL REFERENCES operator,
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX operator_invitation_team ON operator_invitation (team_id, id);

CREATE TABLE operator_session (
  id            INTEGER PRIMARY KEY,
  operator_id   INTEGER NOT NULL REFERENCES operator,
  hash          BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  device        TEXT,                                              -- such as: Firefox on Linux
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX operator_session_operator ON operator_session (operator_id, id);

-- Rate limits that operators have set, over what the server was started with.
CREATE TABLE rate_limit (
  name      TEXT    PRIMARY KEY,                                   -- as domain::limit names it
  count     INTEGER NOT NULL CHECK (count >= 0),                   -- a period; 0: no limit
  set_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A project's rules, all versions of them: every grant names the version that decided it.
CREATE TABLE program (
  project_id    INTEGER NOT NULL REFERENCES project,
  version       INTEGER NOT NULL CHECK (version > 0),
  body          TEXT    NOT NULL,                                  -- JSON, as domain::program reads it
  author        TEXT    NOT NULL,
  created_at_ms INTEGER NOT NULL,
  PRIMARY KEY (project_id, version)
) STRICT, WITHOUT ROWID;

-- Who refers or is referred. Erasing blanks every column that says who it was and keeps the row.
CREATE TABLE account (
  id               INTEGER PRIMARY KEY,
  project_id       INTEGER NOT NULL REFERENCES project,
  external_id      TEXT,                                           -- the team's own id, where it has one
  email            TEXT,                                           -- lower case, the domain in ASCII
  email_domain     TEXT GENERATED ALWAYS AS (substr(email, instr(email, '@') + 1)) VIRTUAL,  -- to search by
  name             TEXT,
  leaderboard_name TEXT,                                           -- NULL: not listed
  password_hash    TEXT,
  disposable       INTEGER NOT NULL DEFAULT 0 CHECK (disposable IN (0, 1)),  -- a throw-away mailbox: earns nothing
  track            TEXT    NOT NULL DEFAULT 'basic' CHECK (track IN ('basic', 'partner')),
  address_proved   INTEGER NOT NULL DEFAULT 0 CHECK (address_proved IN (0, 1)),  -- 1: a link mailed to it was used
  milestone_mail   INTEGER NOT NULL DEFAULT 1 CHECK (milestone_mail IN (0, 1)),  -- 0: wants none
  created_at_ms    INTEGER NOT NULL,
  erased_at_ms     INTEGER,
  erased_by        TEXT,                                           -- as the audit log names them; NULL: their own doing
  CHECK (erased_by IS NULL OR erased_at_ms IS NOT NULL),
  CHECK (erased_at_ms IS NULL
    OR coalesce(external_id, email, name, leaderboard_name, password_hash) IS NULL)
) STRICT;
CREATE UNIQUE INDEX account_email ON account (project_id, email) WHERE email IS NOT NULL;
CREATE UNIQUE INDEX account_external_id ON account (project_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX account_project ON account (project_id, id) WHERE erased_at_ms IS NULL;
CREATE INDEX account_domain ON account (project_id, email_domain, id) WHERE email_domain IS NOT NULL;
CREATE INDEX account_listed ON account (project_id, id) WHERE leaderboard_name IS NOT NULL;

-- Accounts' sessions on the pages, as hashes.
CREATE TABLE account_session (
  id              INTEGER PRIMARY KEY,
  account_id      INTEGER NOT NULL REFERENCES account,
  hash            BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
  device          TEXT,                                            -- such as: Firefox on Linux
  created_at_ms   INTEGER NOT NULL,
  last_used_at_ms INTEGER NOT NULL,                                -- to the hour
  expires_at_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX account_session_account ON account_session (account_id, id);

-- Keys of developers (with an account) and of the project's gateways (with scopes). The secret itself is never stored.
CREATE TABLE api_key (
  id              INTEGER PRIMARY KEY,
  project_id      INTEGER NOT NULL REFERENCES project,
  account_id      INTEGER REFERENCES account,
  scopes          TEXT    NOT NULL,                                -- comma-separated, empty for a developer's key
  name            TEXT,
  hint            TEXT    NOT NULL,                                -- its first and last characters, to tell keys apart
  lookup          INTEGER NOT NULL,                                -- the hash's first 8 bytes: a narrow index
  hash            BLOB    NOT NULL CHECK (length(hash) = 32),
  made_by         INTEGER REFERENCES operator,                     -- NULL: the account, the command line, another key
  created_at_ms   INTEGER NOT NULL,
  last_used_at_ms INTEGER,                                         -- to the hour
  revoked_at_ms   INTEGER,
  CHECK ((account_id IS NULL) = (scopes <> ''))
) STRICT;
CREATE INDEX api_key_lookup ON api_key (lookup);
CREATE INDEX api_key_account ON api_key (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX api_key_gateway ON api_key (project_id, id) WHERE account_id IS NULL;
CREATE INDEX api_key_made_by ON api_key (made_by) WHERE made_by IS NOT NULL;

-- Codes are kept for ever, so that a revoked one is never given out again.
CREATE TABLE code (
  id            INTEGER PRIMARY KEY,
  project_id    INTEGER NOT NULL REFERENCES project,
  account_id    INTEGER NOT NULL REFERENCES account,
  code          TEXT    NOT NULL CHECK (code = upper(code) AND length(code) BETWEEN 4 AND 20),
  max_uses      INTEGER CHECK (max_uses > 0),
  uses_count    INTEGER NOT NULL DEFAULT 0 CHECK (uses_count >= 0 AND (max_uses IS NULL OR uses_count <= max_uses)),
  created_at_ms INTEGER NOT NULL,
  revoked_at_ms INTEGER,
  UNIQUE (project_id, code)
) STRICT;
CREATE UNIQUE INDEX code_active ON code (account_id) WHERE revoked_at_ms IS NULL;
CREATE INDEX code_revoked ON code (account_id, id) WHERE revoked_at_ms IS NOT NULL;
CREATE INDEX code_list ON code (project_id, id);

-- Who came through a code, as long as the attribution window is open: one row for a visitor, however often they come.
-- A visitor is a hash of network address and browser under a key that is thrown away each day. Whose cookie tells of
-- another day or place, or whose own link it is, leaves a mark under today's hash as well: a row that counts for nothing,
-- with signed_up = 1, so that the landing page's report of the same visit is not another click.
CREATE TABLE click (
  id            INTEGER PRIMARY KEY,
  project_id    INTEGER NOT NULL REFERENCES project,
  code_id       INTEGER NOT NULL REFERENCES code,
  referrer_id   INTEGER NOT NULL REFERENCES account,
  visitor       BLOB    NOT NULL CHECK (length(visitor) = 16),
  at_ms         INTEGER NOT NULL,
  signed_up     INTEGER NOT NULL DEFAULT 0 CHECK (signed_up IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX click_visitor ON click (code_id, visitor);
CREATE INDEX click_due ON click (project_id, at_ms);
CREATE INDEX click_unsigned ON click (referrer_id, at_ms) WHERE signed_up = 0;

-- How many clicks were counted on a UTC day (numbered from 1970-01-01), for good: of a referrer's codes, and in all,
-- where the day's marks are limited too.
CREATE TABLE click_day (
  project_id  INTEGER NOT NULL REFERENCES project,
  referrer_id INTEGER NOT NULL REFERENCES account,
  day         INTEGER NOT NULL,
  clicks      INTEGER NOT NULL CHECK (clicks > 0),
  PRIMARY KEY (project_id, referrer_id, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE project_click_day (
  project_id INTEGER NOT NULL REFERENCES project,
  day        INTEGER NOT NULL,
  clicks     INTEGER NOT NULL CHECK (clicks >= 0),
  marks      INTEGER NOT NULL CHECK (marks >= 0),
  PRIMARY KEY (project_id, day)
) STRICT, WITHOUT ROWID;

-- Accounts whose address is still to be confirmed, and the code that they came with: it counts from then on.
CREATE TABLE unconfirmed (
  account_id INTEGER PRIMARY KEY REFERENCES account,
  code_id    INTEGER REFERENCES code
) STRICT;

-- The tokens of links in mail, as hashes. Each is made when its mail is sent, and used once.
CREATE TABLE mail_token (
  hash          BLOB    PRIMARY KEY CHECK (length(hash) = 32),
  account_id    INTEGER NOT NULL REFERENCES account,
  purpose       TEXT    NOT NULL CHECK (purpose IN ('confirm', 'reset')),
  expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_token_account ON mail_token (account_id);

-- One account brought in by another, at most once ever. The two identities are keyed hashes: they outlive an erasure.
CREATE TABLE referral (
  id                 INTEGER PRIMARY KEY,
  project_id         INTEGER NOT NULL REFERENCES project,
  code_id            INTEGER NOT NULL REFERENCES code,
  referrer_id        INTEGER NOT NULL REFERENCES account,
  referee_id         INTEGER NOT NULL UNIQUE REFERENCES account,
  status             TEXT    NOT NULL
                     CHECK (status IN ('signed_up', 'first_call', 'active', 'converted', 'review', 'rejected')),
  reason             TEXT,                                         -- stable code: why it is rejected or in review
  referee_mailbox    BLOB,                                         -- the person: one referral ever
  referee_household  BLOB,                                         -- domain, or mailbox at public providers: one a referrer
  signed_up_at_ms    INTEGER NOT NULL,
  applied_at_ms      INTEGER NOT NULL,                             -- of the code; the account may be older
  first_call_at_ms   INTEGER,
  active_at_ms       INTEGER,
  converted_at_ms    INTEGER,
  rejected_at_ms     INTEGER,
  cleared_at_ms      INTEGER,                                      -- by an operator: no later signal holds it again
  judged_version     INTEGER NOT NULL,                             -- the program by which its calls were last looked at
  CHECK (referrer_id <> referee_id),
  CHECK ((status IN ('review', 'rejected')) = (reason IS NOT NULL))
) STRICT;
CREATE INDEX referral_referrer ON referral (referrer_id, id);
CREATE INDEX referral_review ON referral (referrer_id) WHERE status = 'review';
CREATE INDEX referral_converted ON referral (project_id, converted_at_ms) WHERE converted_at_ms IS NOT NULL;
CREATE INDEX referral_status ON referral (project_id, status, id);
CREATE INDEX referral_code ON referral (code_id, id);
CREATE INDEX referral_household ON referral (project_id, referee_household, id) WHERE referee_household IS NOT NULL;
CREATE INDEX referral_counted ON referral (referrer_id, signed_up_at_ms) WHERE status NOT IN ('rejected', 'review');
CREATE INDEX referral_mailbox ON referral (project_id, referee_mailbox) WHERE referee_mailbox IS NOT NULL;
CREATE UNIQUE INDEX referral_once_per_household ON referral (referrer_id, referee_household)
  WHERE status <> 'rejected' AND referee_household IS NOT NULL;

-- What speaks against a referral, each thing once. Append-only; what it comes to is for the program to say.
CREATE TABLE signal (
  id              INTEGER PRIMARY KEY,
  project_id      INTEGER NOT NULL REFERENCES project,
  referral_id     INTEGER NOT NULL REFERENCES referral,
  program_version INTEGER NOT NULL,
  code            TEXT    NOT NULL,                                -- as domain::signal names it
  weight          INTEGER NOT NULL CHECK (weight BETWEEN 1 AND 1000),
  inputs          TEXT    NOT NULL,                                -- JSON; figures and words of ours, nothing personal
  at_ms           INTEGER NOT NULL,
  UNIQUE (referral_id, code),
  FOREIGN KEY (project_id, program_version) REFERENCES program (project_id, version)
) STRICT;

-- What accounts have left behind today: hashes of the network addresses where they were seen, under the day's key of
-- visitors (`instance`), with which they are thrown away. Who erases an account leaves such hashes of mailbox and browser
-- too, so that the next made-up account of the day is not the first one.
CREATE TABLE sighting (
  project_id INTEGER NOT NULL REFERENCES project,
  trace      BLOB    NOT NULL CHECK (length(trace) = 16),
  account_id INTEGER NOT NULL REFERENCES account,
  kind       TEXT    NOT NULL CHECK (kind IN ('address', 'browser', 'spelling', 'series')),
  PRIMARY KEY (project_id, trace, account_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sighting_account ON sighting (account_id);

-- How a referee's calls come in on the way to the milestone that pays. Figures only; they stay for those to be compared
-- with who come later.
CREATE TABLE pace (
  referral_id   INTEGER PRIMARY KEY REFERENCES referral,
  project_id    INTEGER NOT NULL REFERENCES project,
  reports       INTEGER NOT NULL CHECK (reports > 0),              -- those of one moment counted once
  calls         INTEGER NOT NULL,
  last_calls    INTEGER NOT NULL,                                  -- of the newest report
  calls_before  INTEGER NOT NULL,                                  -- of the one before
  equal_reports INTEGER NOT NULL,
  first_at_ms   INTEGER NOT NULL,
  last_at_ms    INTEGER NOT NULL,
  last_gap_ms   INTEGER NOT NULL,
  steady_gaps   INTEGER NOT NULL,
  reached_at_ms INTEGER,                                           -- the milestone
  due_at_ms     INTEGER                                            -- when to look whether the calls went on
) STRICT;
CREATE INDEX pace_due ON pace (project_id, due_at_ms) WHERE due_at_ms IS NOT NULL;

-- When e-mail domains were registered, as RDAP has said. The domain is a keyed hash, and outlives who was there.
CREATE TABLE domain_age (
  domain_hash      BLOB    PRIMARY KEY CHECK (length(domain_hash) = 32),
  registered_at_ms INTEGER,                                        -- NULL: RDAP does not know
  told_at_ms       INTEGER NOT NULL                                -- by the machine's clock
) STRICT, WITHOUT ROWID;

-- A purchase and its refunds, by the team's own ids. A refund may come first and then waits: hence no foreign key.
CREATE TABLE purchase (
  id            INTEGER PRIMARY KEY,
  project_id    INTEGER NOT NULL REFERENCES project,
  purchase_id   TEXT    NOT NULL,
  account_id    INTEGER NOT NULL REFERENCES account,
  gross_minor   INTEGER NOT NULL CHECK (gross_minor > 0),
  currency      TEXT    NOT NULL,
  purchased_at_ms INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  UNIQUE (project_id, purchase_id)
) STRICT;
CREATE INDEX purchase_account ON purchase (account_id);

CREATE TABLE refund (
  id            INTEGER PRIMARY KEY,
  project_id    INTEGER NOT NULL REFERENCES project,
  refund_id     TEXT    NOT NULL,
  purchase_id   TEXT    NOT NULL,
  amount_minor  INTEGER NOT NULL CHECK (amount_minor > 0),
  of_sum        INTEGER NOT NULL DEFAULT 0 CHECK (of_sum IN (0, 1)),  -- known only as part of a charge's sum
  created_at_ms INTEGER NOT NULL,
  UNIQUE (project_id, refund_id)
) STRICT;
CREATE INDEX refund_purchase ON refund (project_id, purchase_id);

-- Stripe's customers whose account is known: once learned, a link stays. One account may be several customers, as a
-- checkout can make a new one.
CREATE TABLE stripe_customer (
  project_id         INTEGER NOT NULL REFERENCES project,
  stripe_customer_id TEXT    NOT NULL,
  account_id         INTEGER NOT NULL REFERENCES account,
  PRIMARY KEY (project_id, stripe_customer_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX stripe_customer_account ON stripe_customer (account_id);

-- Stripe's events, kept for good, so that one that is told twice does nothing: what each said, and what came of it.
-- No bodies, no names, no addresses.
CREATE TABLE stripe_event (
  id                 INTEGER PRIMARY KEY,
  project_id         INTEGER NOT NULL REFERENCES project,
  event_id           TEXT    NOT NULL,
  type               TEXT    NOT NULL,
  fact               TEXT    NOT NULL
                     CHECK (fact IN ('conversion', 'purchase', 'refund', 'link', 'unpaid', 'account', 'transfer', 'none')),
  object_id          TEXT,                                         -- the session, subscription or invoice
  amount_minor       INTEGER CHECK (amount_minor >= 0),
  currency           TEXT,
  happened_at_ms     INTEGER NOT NULL,
  received_at_ms     INTEGER NOT NULL,
  outcome            TEXT    NOT NULL
                     CHECK (outcome IN ('waiting', 'converted', 'purchase', 'refund', 'link', 'known', 'unpaid',
                                        'no_referral', 'no_conversion', 'no_customer', 'other_currency', 'account',
                                        'transfer', 'outdated', 'ignored', 'unusable')),
  account_id         INTEGER REFERENCES account,                   -- whom it was about, once that is known
  stripe_customer_id TEXT,                                         -- while it waits
  UNIQUE (project_id, event_id),
  CHECK (stripe_customer_id IS NULL OR outcome = 'waiting')
) STRICT;
CREATE INDEX stripe_event_account ON stripe_event (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX stripe_event_converted ON stripe_event (account_id) WHERE outcome = 'converted';

-- The names, Stripe's and the team's, by which the customer of an event that waits may become known.
CREATE TABLE stripe_awaited (
  project_id INTEGER NOT NULL REFERENCES project,
  name       TEXT    NOT NULL,
  event      INTEGER NOT NULL REFERENCES stripe_event,
  PRIMARY KEY (project_id, name, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX stripe_awaited_event ON stripe_awaited (event);

-- Which charge is of which payment intent, and which of them of which invoice; and which session or subscription
-- began with which invoice.
CREATE TABLE stripe_link (
  project_id INTEGER NOT NULL REFERENCES project,
  object_id  TEXT    NOT NULL,
  part_of    TEXT    NOT NULL,
  is_invoice INTEGER NOT NULL CHECK (is_invoice IN (0, 1)),
  PRIMARY KEY (project_id, object_id, part_of)
) STRICT, WITHOUT ROWID;
CREATE INDEX stripe_link_whole ON stripe_link (project_id, part_of);

-- What Stripe has said of refunds: of each one, and of all of a charge together ('sum').
CREATE TABLE stripe_refund (
  project_id   INTEGER NOT NULL REFERENCES project,
  object_id    TEXT    NOT NULL,                                   -- the refund, or the charge for a sum
  charge_id    TEXT,
  intent_id    TEXT,
  amount_minor INTEGER NOT NULL CHECK (amount_minor >= 0),
  state        TEXT    NOT NULL CHECK (state IN ('pending', 'succeeded', 'failed', 'sum')),
  told_at_ms   INTEGER NOT NULL,                                   -- the event's own time: a later word counts
  PRIMARY KEY (project_id, object_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX stripe_refund_charge ON stripe_refund (project_id, charge_id) WHERE charge_id IS NOT NULL;
CREATE INDEX stripe_refund_intent ON stripe_refund (project_id, intent_id) WHERE intent_id IS NOT NULL;

-- What other systems are to be told: mail, calls to Stripe. Written in the transaction that causes it; the worker
-- delivers it at least once and takes the row away, or blanks it where a second one must never be made. Names whom it
-- is about, and holds neither names nor addresses nor secrets: those are read when it is delivered.
CREATE TABLE outbox (
  id            INTEGER PRIMARY KEY,
  project_id    INTEGER NOT NULL REFERENCES project,
  kind          TEXT    NOT NULL,                                  -- as domain::delivery names it
  account_id    INTEGER REFERENCES account,                        -- whom it is for; erasing takes the row along
  once          TEXT,                                              -- what it tells, if that is told once ever
  body          TEXT    NOT NULL,                                  -- JSON
  state         TEXT    NOT NULL CHECK (state IN ('waiting', 'parked', 'done')),
  tries         INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),     -- begun ones: from the first on it may have arrived
  due_at_ms     INTEGER NOT NULL,                                  -- by the machine's clock, as all times here
  problem       TEXT,                                              -- what stood in the way last
  created_at_ms INTEGER NOT NULL,
  UNIQUE (project_id, once),
  CHECK (state <> 'done' OR (once IS NOT NULL AND body = '{}'))
) STRICT;
CREATE INDEX outbox_due ON outbox (kind, due_at_ms) WHERE state = 'waiting';
CREATE INDEX outbox_open ON outbox (project_id, id) WHERE state <> 'done';
CREATE INDEX outbox_account ON outbox (account_id) WHERE account_id IS NOT NULL;

-- What partners agree to, all versions of it; a project starts with the text that ships with refloop.
CREATE TABLE partner_agreement (
  project_id    INTEGER NOT NULL REFERENCES project,
  version       INTEGER NOT NULL CHECK (version > 0),
  body          TEXT    NOT NULL,                                  -- Markdown
  created_at_ms INTEGER NOT NULL,
  PRIMARY KEY (project_id, version)
) STRICT, WITHOUT ROWID;

-- Who agreed to which of them, every time.
CREATE TABLE agreement_acceptance (
  id            INTEGER PRIMARY KEY,
  project_id    INTEGER NOT NULL REFERENCES project,
  account_id    INTEGER NOT NULL REFERENCES account,
  version       INTEGER NOT NULL,
  signature     TEXT,                                              -- the typed name; NULL once the account is erased
  address_hash  BLOB,                                              -- keyed, of where it was signed; likewise
  signed_at_ms  INTEGER NOT NULL,
  FOREIGN KEY (project_id, version) REFERENCES partner_agreement (project_id, version)
) STRICT;
CREATE INDEX agreement_acceptance_account ON agreement_acceptance (account_id, id);

-- Every change of an account's track, by the project's clock: it began as 'basic'. What is told late pays by the track
-- of its time. Append-only.
CREATE TABLE track_change (
  id         INTEGER PRIMARY KEY,
  account_id INTEGER NOT NULL REFERENCES account,
  track      TEXT    NOT NULL CHECK (track IN ('basic', 'partner')),
  at_ms      INTEGER NOT NULL
) STRICT;
CREATE INDEX track_change_account ON track_change (account_id, id);

-- Partners' accounts at Stripe, to which payouts go.
CREATE TABLE stripe_account (
  account_id        INTEGER PRIMARY KEY REFERENCES account,
  project_id        INTEGER NOT NULL REFERENCES project,
  stripe_account_id TEXT,                                          -- NULL: Stripe has not made it yet
  refused           INTEGER NOT NULL DEFAULT 0 CHECK (refused >= 0),  -- how often it would not: part of the next key
  ready             INTEGER NOT NULL DEFAULT 0 CHECK (ready IN (0, 1)),
  missing           TEXT    NOT NULL DEFAULT '[]',                 -- JSON: what is in the way, in words
  told_at_ms        INTEGER NOT NULL DEFAULT 0,                    -- Stripe's own time: a later word counts
  bank_refusal      TEXT,                                          -- Stripe's code, when the bank took no money
  bank_told_at_ms   INTEGER NOT NULL DEFAULT 0,                    -- of that, or of its end; likewise
  platform          TEXT,                                          -- whose key made it, and its mode; NULL: not known
  UNIQUE (project_id, stripe_account_id),
  CHECK (ready = 0 OR stripe_account_id IS NOT NULL)
) STRICT;

-- The same under other keys than the project's present one, for when one of those comes back.
CREATE TABLE former_stripe_account (
  account_id        INTEGER NOT NULL REFERENCES account,
  platform          TEXT    NOT NULL,
  stripe_account_id TEXT    NOT NULL,
  PRIMARY KEY (account_id, platform)
) STRICT, WITHOUT ROWID;

-- Money that leaves. A row is made together with the entries that reserve the amount; it ends as paid, or with entries
-- that give the same amount back to the same lots.
CREATE TABLE payout (
  id                INTEGER PRIMARY KEY,                           -- in text also Stripe's idempotency key
  project_id        INTEGER NOT NULL REFERENCES project,
  account_id        INTEGER NOT NULL REFERENCES account,
  amount_minor      INTEGER NOT NULL CHECK (amount_minor > 0),
  currency          TEXT    NOT NULL,
  destination       TEXT    NOT NULL,                              -- Stripe's id; empty once the account is erased
  request           TEXT    NOT NULL,                              -- what Stripe is sent, to the byte; likewise
  status            TEXT    NOT NULL CHECK (status IN ('queued', 'reconciling', 'paid', 'failed', 'cancelled')),
  group_seq         INTEGER NOT NULL UNIQUE,                       -- the first of the entries that reserved it
  entry_count       INTEGER NOT NULL CHECK (entry_count > 0),
  return_seq        INTEGER UNIQUE,                                -- the first of those that gave it back
  approved_at_ms    INTEGER,                                       -- NULL: an operator has to approve it first
  cancel_asked      INTEGER NOT NULL DEFAULT 0 CHECK (cancel_asked IN (0, 1)),
  resolve_asked     INTEGER NOT NULL DEFAULT 0 CHECK (resolve_asked IN (0, 1)),  -- if it is surely not at Stripe
  delivery_id       INTEGER,                                       -- in the outbox
  sendings          INTEGER NOT NULL DEFAULT 0 CHECK (sendings >= 0),
  first_sent_at_ms  INTEGER,                                       -- by the machine's clock, before it leaves
  last_sent_at_ms   INTEGER,
  key_hash          BLOB,                                          -- of the Stripe key when it was asked for
  transfer_id       TEXT,
  reversed_minor    INTEGER NOT NULL DEFAULT 0 CHECK (reversed_minor >= 0),  -- of the transfer, at Stripe
  failure           TEXT,
  created_at_ms     INTEGER NOT NULL,
  paid_at_ms        INTEGER,
  CHECK ((status = 'paid') = (paid_at_ms IS NOT NULL)),
  CHECK ((status IN ('failed', 'cancelled')) = (return_seq IS NOT NULL)),
  CHECK (status <> 'paid' OR transfer_id IS NOT NULL),
  CHECK ((sendings > 0) = (first_sent_at_ms IS NOT NULL AND last_sent_at_ms IS NOT NULL)),
  CHECK (status <> 'reconciling' OR sendings > 0),                 -- paid: Stripe may know more than an older copy
  CHECK (status <> 'cancelled' OR sendings = 0)
) STRICT;
CREATE INDEX payout_account ON payout (account_id, id);
CREATE INDEX payout_project ON payout (project_id, id);
CREATE INDEX payout_status ON payout (project_id, status, id);
-- The last line of defence: one at a time.
CREATE UNIQUE INDEX payout_one_open ON payout (account_id) WHERE status IN ('queued', 'reconciling');

-- Why something was granted or refused, or a referral held, cleared, rejected or opened again: the rule, what it saw, what it
-- said. Append-only.
CREATE TABLE decision (
  id              INTEGER PRIMARY KEY,
  project_id      INTEGER NOT NULL REFERENCES project,
  referral_id     INTEGER NOT NULL REFERENCES referral,
  purchase_id     INTEGER REFERENCES purchase,
  program_version INTEGER NOT NULL,
  event           TEXT    NOT NULL,
  rule            TEXT    NOT NULL,
  inputs          TEXT    NOT NULL,                                -- JSON; figures and booleans, nothing personal; of
                                                                   -- a review also who decided, and the reason given
  verdict         TEXT    NOT NULL
                  CHECK (verdict IN ('granted', 'refused', 'held', 'cleared', 'rejected', 'reopened')),
  code            TEXT    NOT NULL,
  basis_points    INTEGER CHECK (basis_points BETWEEN 0 AND 10000),
  at_ms           INTEGER NOT NULL,
  FOREIGN KEY (project_id, program_version) REFERENCES program (project_id, version)
) STRICT;
-- The last line of defence: a rule pays once per referral, or once per purchase.
CREATE UNIQUE INDEX decision_pays_once ON decision (referral_id, rule, coalesce(purchase_id, 0))
  WHERE verdict = 'granted';
CREATE INDEX decision_referral ON decision (referral_id, id);

-- The ledger: every movement of credits, one chain for the whole file. Append-only; README says how to check it.
CREATE TABLE entry (
  seq             INTEGER PRIMARY KEY CHECK (seq > 0),
  project_id      INTEGER NOT NULL,                                -- the lot's, which refers to it
  account_id      INTEGER NOT NULL,                                -- the lot's, which refers to it
  lot             INTEGER NOT NULL,                                -- seq of the grant that brought these credits in
  kind            TEXT    NOT NULL,
  amount          INTEGER NOT NULL CHECK (amount <> 0),
  reason          TEXT    NOT NULL CHECK (length(reason) BETWEEN 1 AND 40),
  group_seq       INTEGER NOT NULL,                                -- seq of the movement's first entry
  origin_lot      INTEGER,                                         -- the lot reversed or repaid, when others pay for it
  referral_id     INTEGER REFERENCES referral,
  purchase_id     INTEGER REFERENCES purchase,
  decision_id     INTEGER REFERENCES decision,
  program_version INTEGER,
  vests_at_ms     INTEGER,
  vesting         TEXT,
  expires_at_ms   INTEGER,                                         -- of a grant; a payout_return makes its lot's later
  at_ms           INTEGER NOT NULL,
  prev_hash       BLOB    NOT NULL CHECK (length(prev_hash) = 32),
  hash            BLOB    NOT NULL CHECK (length(hash) = 32),
  CHECK (group_seq <= seq),
  -- One CASE, so that a spend, of which there are most, is through after a few of them.
  CHECK (CASE
    WHEN kind = 'grant' THEN amount > 0 AND lot = seq AND origin_lot IS NULL AND vests_at_ms IS NOT NULL
      AND vesting IS NOT NULL AND (vesting = 'cliff' OR vesting = 'linear')
    ELSE lot < seq AND coalesce(vesting, vests_at_ms, program_version, decision_id) IS NULL
      AND (expires_at_ms IS NULL OR kind = 'payout_return') AND CASE
      WHEN kind = 'spend'         THEN amount < 0 AND origin_lot IS NULL
      WHEN kind = 'expire'        THEN amount < 0 AND origin_lot IS NULL
      WHEN kind = 'payout'        THEN amount < 0 AND origin_lot IS NULL
      WHEN kind = 'payout_return' THEN amount > 0 AND origin_lot IS NULL
      WHEN kind = 'reverse'       THEN amount < 0 AND origin_lot IS NOT NULL
      WHEN kind = 'repay'         THEN origin_lot IS NOT NULL
      ELSE 0 END
    END)
) STRICT;
CREATE INDEX entry_grant ON entry (account_id, at_ms) WHERE kind = 'grant';

-- Credits that operators gave or took back by hand: who asked for it under which key, so that a form that is sent twice
-- moves them once. The reason is in the audit log.
CREATE TABLE adjustment (
  id            INTEGER PRIMARY KEY,
  project_id    INTEGER NOT NULL REFERENCES project,
  account_id    INTEGER NOT NULL REFERENCES account,
  request_hash  BLOB    NOT NULL CHECK (length(request_hash) = 32),  -- of actor, account and key
  body_hash     BLOB    NOT NULL CHECK (length(body_hash) = 32),     -- of amount and reason
  amount        INTEGER NOT NULL CHECK (amount <> 0),
  group_seq     INTEGER NOT NULL UNIQUE,                           -- the first of its entries
  at_ms         INTEGER NOT NULL,
  UNIQUE (project_id, request_hash)
) STRICT;
CREATE INDEX adjustment_account ON adjustment (account_id, id);

-- The audit log: what operators, keys with the scope admin and the command line did. Append-only, in a hash chain of its
-- own; each row names the ledger's head of its time, so that entries cannot be rewritten under it. It holds nobody's name
-- or address: people appear by their ids.
CREATE TABLE audit (
  seq         INTEGER PRIMARY KEY CHECK (seq > 0),
  team_id     INTEGER NOT NULL REFERENCES team,                    -- whose operators see it
  project_id  INTEGER REFERENCES project,                          -- NULL: about the team itself
  actor       TEXT    NOT NULL,
  action      TEXT    NOT NULL CHECK (length(action) BETWEEN 1 AND 40),
  subject     TEXT,
  reason      TEXT    CHECK (length(reason) <= 500),
  details     TEXT    NOT NULL,                                    -- JSON; figures, ids, old and new
  entry_seq   INTEGER NOT NULL,
  entry_hash  BLOB    NOT NULL CHECK (length(entry_hash) = 32),
  at_ms       INTEGER NOT NULL,
  prev_hash   BLOB    NOT NULL CHECK (length(prev_hash) = 32),
  hash        BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX audit_team ON audit (team_id, seq);

-- Usage events as they came. Only ever appended to, and pruned from the front by age.
CREATE TABLE usage_event (
  seq        INTEGER PRIMARY KEY CHECK (seq > 0),
  project_id INTEGER NOT NULL,                                     -- the account's, which refers to it
  event_id   TEXT    NOT NULL,                                     -- the gateway's own; unique in its project
  account_id INTEGER NOT NULL REFERENCES account,
  calls      INTEGER NOT NULL CHECK (calls >= 0),
  charged    INTEGER NOT NULL CHECK (charged >= 0),
  uncovered  INTEGER NOT NULL CHECK (uncovered >= 0),
  group_seq  INTEGER,                                              -- the movement that paid for it
  at_ms      INTEGER NOT NULL
) STRICT;

-- Projections: what the entries and the usage events above add up to. `refloop verify` recomputes them (calls only as
-- long as no event is pruned).
--
-- Every kind of entry is projected by a trigger in its own transaction, but for the one that comes by the thousand: what
-- a `spend` does to lot, balance and account_entry, and an event to usage_total and usage_id, the server keeps in
-- memory and writes back in bulk, within seconds. Each row says up to where it is complete (`spends_to`, `events_to`),
-- and nothing is missing below `projected`; after a crash the rest is projected from the entries and events themselves.
-- The server's own answers always count everything; with SQL, the views `balance_now` and `usage_total_now` do.

-- Everything up to here is in the projections.
CREATE TABLE projected (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  entry_seq INTEGER NOT NULL,
  event_seq INTEGER NOT NULL
) STRICT;

-- What is left of each grant. Negative: spent before it was reversed, and owed.
CREATE TABLE lot (
  seq           INTEGER PRIMARY KEY,
  project_id    INTEGER NOT NULL REFERENCES project,
  account_id    INTEGER NOT NULL REFERENCES account,
  referral_id   INTEGER,
  purchase_id   INTEGER,
  decision_id   INTEGER,
  granted_at_ms INTEGER NOT NULL,
  vests_at_ms   INTEGER NOT NULL,
  vesting       TEXT    NOT NULL CHECK (vesting IN ('cliff', 'linear')),
  expires_at_ms INTEGER NOT NULL,                                  -- 9223372036854775807: never
  granted       INTEGER NOT NULL,
  remaining     INTEGER NOT NULL,
  side          INTEGER NOT NULL DEFAULT 0,                        -- remaining's sign, which changes rarely, for indexes
  expired       INTEGER NOT NULL DEFAULT 0,
  reversed      INTEGER NOT NULL DEFAULT 0,                        -- of this grant, whichever lots paid for it
  paid          INTEGER NOT NULL DEFAULT 0,
  CHECK (side = CASE WHEN remaining > 0 THEN 1 WHEN remaining < 0 THEN -1 ELSE 0 END)
) STRICT;
CREATE INDEX lot_open ON lot (account_id, expires_at_ms, seq) WHERE side <> 0;
CREATE INDEX lot_due ON lot (project_id, expires_at_ms) WHERE side = 1 AND expires_at_ms < 9223372036854775807;
CREATE INDEX lot_project ON lot (project_id, granted_at_ms);
CREATE INDEX lot_referral ON lot (referral_id) WHERE referral_id IS NOT NULL;
CREATE INDEX lot_purchase ON lot (purchase_id) WHERE purchase_id IS NOT NULL;

-- An account's totals. granted = spent + expired + reversed + paid + open - owed.
CREATE TABLE balance (
  account_id INTEGER PRIMARY KEY,
  granted    INTEGER NOT NULL,
  spent      INTEGER NOT NULL DEFAULT 0,
  expired    INTEGER NOT NULL DEFAULT 0,
  reversed   INTEGER NOT NULL DEFAULT 0,
  paid       INTEGER NOT NULL DEFAULT 0,
  open       INTEGER NOT NULL,
  owed       INTEGER NOT NULL DEFAULT 0,
  spends_to  INTEGER NOT NULL DEFAULT 0                            -- seq of the newest spend in here and in the lots
) STRICT;

-- Which entries are an account's.
CREATE TABLE account_entry (
  account_id INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  PRIMARY KEY (account_id, seq)
) STRICT, WITHOUT ROWID;

-- Calls that an account has made in all.
CREATE TABLE usage_total (
  account_id INTEGER PRIMARY KEY,
  calls      INTEGER NOT NULL CHECK (calls >= 0),
  events_to  INTEGER NOT NULL                                      -- seq of the newest event in here
) STRICT;

-- Finds an event by its id, so that a redelivery is told from a new one: by a keyed hash, as eight bytes make a narrow
-- table; the event itself says whether it is the one.
CREATE TABLE usage_id (
  hash      INTEGER NOT NULL,
  event_seq INTEGER NOT NULL,
  PRIMARY KEY (hash, event_seq)
) STRICT, WITHOUT ROWID;

-- The balances and the calls of all entries and events, the newest included.
CREATE VIEW balance_now AS
SELECT balance.account_id, granted, spent + coalesce(more, 0) AS spent, expired, reversed, paid,
       open - coalesce(more, 0) AS open, owed
FROM balance LEFT JOIN (
  SELECT entry.account_id, -sum(entry.amount) AS more
  FROM entry JOIN balance ON balance.account_id = entry.account_id
  WHERE entry.seq > (SELECT entry_seq FROM projected) AND entry.seq > balance.spends_to AND entry.kind = 'spend'
  GROUP BY entry.account_id) AS tail ON tail.account_id = balance.account_id;

CREATE VIEW usage_total_now AS
SELECT account_id, sum(calls) AS calls FROM (
  SELECT account_id, calls FROM usage_total
  UNION ALL
  SELECT event.account_id, event.calls
  FROM usage_event AS event LEFT JOIN usage_total AS known ON known.account_id = event.account_id
  WHERE event.seq > (SELECT event_seq FROM projected) AND event.seq > coalesce(known.events_to, 0)) AS parts
GROUP BY account_id;

-- Triggers. ABORT, not ROLLBACK: a transaction carries the work of many callers, and only one of them is wrong.

-- Only the next number on the right hash may be added. This also stops OR REPLACE and upserts from the sqlite3 shell,
-- where recursive_triggers is off and the DELETE trigger would not fire.
--
-- A movement belongs to a lot of the same account, and only its own reversal may take more than is left of it, up to
-- what was granted. The lot that is reversed or repaid is the same account's too. Where spends are still to be
-- projected, more seems to be left than is: the server counts them, and so does `refloop verify`.
CREATE TRIGGER entry_follows BEFORE INSERT ON entry
BEGIN
  SELECT CASE
    WHEN NEW.prev_hash IS NOT coalesce(
      (SELECT CASE seq WHEN NEW.seq - 1 THEN hash ELSE x'' END FROM entry ORDER BY seq DESC LIMIT 1),
      CASE NEW.seq WHEN 1 THEN zeroblob(32) END)
    THEN RAISE(ABORT, 'entry: not the next in the chain')
    WHEN NEW.kind <> 'grant' AND NOT EXISTS (
      SELECT 1 FROM lot
      WHERE seq = NEW.lot AND account_id = NEW.account_id AND project_id = NEW.project_id
        AND (NEW.kind <> 'payout_return' OR NEW.expires_at_ms IS NULL OR NEW.expires_at_ms > expires_at_ms)
        AND (remaining + NEW.amount BETWEEN 0 AND granted OR (NEW.kind = 'reverse' AND NEW.lot = NEW.origin_lot)
          OR (NEW.kind = 'repay' AND NEW.amount > 0 AND remaining + NEW.amount <= 0)
          -- Reversed while its payout was under way: what comes back lessens the debt.
          OR (NEW.kind = 'payout_return' AND remaining + NEW.amount <= granted)))
      OR NEW.origin_lot IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM lot
      WHERE seq = NEW.origin_lot AND account_id = NEW.account_id AND project_id = NEW.project_id
        AND (NEW.kind <> 'reverse' OR reversed - NEW.amount <= granted))
    THEN RAISE(ABORT, 'entry: does not fit its lot')
  END AS refusal;
END;

CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'entry: the ledger is append-only'); END;
CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'entry: the ledger is append-only'); END;

CREATE TRIGGER audit_follows BEFORE INSERT ON audit
BEGIN
  SELECT CASE
    WHEN NEW.prev_hash IS NOT coalesce(
      (SELECT CASE seq WHEN NEW.seq - 1 THEN hash ELSE x'' END FROM audit ORDER BY seq DESC LIMIT 1),
      CASE NEW.seq WHEN 1 THEN zeroblob(32) END)
    THEN RAISE(ABORT, 'audit: not the next in the chain')
    WHEN NEW.entry_hash IS NOT coalesce(
      (SELECT hash FROM entry WHERE seq = NEW.entry_seq), CASE NEW.entry_seq WHEN 0 THEN zeroblob(32) END)
    THEN RAISE(ABORT, 'audit: not the ledger''s head')
  END AS refusal;
END;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'audit: the log is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'audit: the log is append-only'); END;

-- One trigger, as a second one would cost every spend as much again only to find that it has nothing to do.
CREATE TRIGGER entry_moves_lot AFTER INSERT ON entry WHEN NEW.kind <> 'spend'
BEGIN
  INSERT INTO lot (seq, project_id, account_id, referral_id, purchase_id, decision_id, granted_at_ms, vests_at_ms,
                   vesting, expires_at_ms, granted, remaining)
  SELECT NEW.seq, NEW.project_id, NEW.account_id, NEW.referral_id, NEW.purchase_id, NEW.decision_id, NEW.at_ms,
         NEW.vests_at_ms, NEW.vesting, coalesce(NEW.expires_at_ms, 9223372036854775807), NEW.amount, 0
  WHERE NEW.kind = 'grant';
  INSERT INTO balance (account_id, granted, open) SELECT NEW.account_id, 0, 0 WHERE NEW.kind = 'grant'
  ON CONFLICT (account_id) DO NOTHING;
  UPDATE balance SET
    granted  = granted  + CASE WHEN NEW.kind = 'grant'   THEN NEW.amount ELSE 0 END,
    expired  = expired  - CASE WHEN NEW.kind = 'expire'  THEN NEW.amount ELSE 0 END,
    reversed = reversed - CASE WHEN NEW.kind = 'reverse' THEN NEW.amount ELSE 0 END,
    paid     = paid     - CASE WHEN NEW.kind IN ('payout', 'payout_return') THEN NEW.amount ELSE 0 END,
    open     = open + (SELECT max(remaining + NEW.amount, 0) - max(remaining, 0) FROM lot WHERE seq = NEW.lot),
    owed     = owed + (SELECT max(-remaining - NEW.amount, 0) - max(-remaining, 0) FROM lot WHERE seq = NEW.lot)
  WHERE account_id = NEW.account_id;
  UPDATE lot SET
    remaining = remaining + NEW.amount,
    side      = CASE WHEN remaining + NEW.amount > 0 THEN 1 WHEN remaining + NEW.amount < 0 THEN -1 ELSE 0 END,
    expired   = expired - CASE WHEN NEW.kind = 'expire' THEN NEW.amount ELSE 0 END,
    paid      = paid    - CASE WHEN NEW.kind IN ('payout', 'payout_return') THEN NEW.amount ELSE 0 END
  WHERE seq = NEW.lot;
  UPDATE lot SET reversed = reversed - NEW.amount WHERE NEW.kind = 'reverse' AND seq = NEW.origin_lot;
  UPDATE lot SET expires_at_ms = NEW.expires_at_ms
  WHERE NEW.kind = 'payout_return' AND NEW.expires_at_ms IS NOT NULL AND seq = NEW.lot;
  INSERT INTO account_entry (account_id, seq) VALUES (NEW.account_id, NEW.seq);
END;

CREATE TRIGGER decision_in_order BEFORE INSERT ON decision
WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM decision)
  OR (NEW.verdict = 'granted' AND EXISTS (
    SELECT 1 FROM decision WHERE verdict = 'granted' AND referral_id = NEW.referral_id AND rule = NEW.rule
      AND coalesce(purchase_id, 0) = coalesce(NEW.purchase_id, 0)))
BEGIN SELECT RAISE(ABORT, 'decision: not the next, or paid already'); END;
CREATE TRIGGER decision_no_update BEFORE UPDATE ON decision
BEGIN SELECT RAISE(ABORT, 'decision: decisions are append-only'); END;
CREATE TRIGGER decision_no_delete BEFORE DELETE ON decision
BEGIN SELECT RAISE(ABORT, 'decision: decisions are append-only'); END;

CREATE TRIGGER signal_in_order BEFORE INSERT ON signal
WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM signal)
  OR EXISTS (SELECT 1 FROM signal WHERE referral_id = NEW.referral_id AND code = NEW.code)
BEGIN SELECT RAISE(ABORT, 'signal: not the next, or there already'); END;
CREATE TRIGGER signal_no_update BEFORE UPDATE ON signal
BEGIN SELECT RAISE(ABORT, 'signal: signals are append-only'); END;
CREATE TRIGGER signal_no_delete BEFORE DELETE ON signal
BEGIN SELECT RAISE(ABORT, 'signal: signals are append-only'); END;

-- Money is not moved by changing a row: what a payout is about stays, and it goes from one state to the next only.
CREATE TRIGGER payout_moves BEFORE UPDATE ON payout
WHEN NEW.id IS NOT OLD.id OR NEW.project_id IS NOT OLD.project_id OR NEW.account_id IS NOT OLD.account_id
  OR NEW.amount_minor IS NOT OLD.amount_minor OR NEW.currency IS NOT OLD.currency
  OR NEW.group_seq IS NOT OLD.group_seq OR NEW.entry_count IS NOT OLD.entry_count
  OR (NEW.request IS NOT OLD.request AND (NEW.request <> '' OR NEW.status IN ('queued', 'reconciling')))
  OR (NEW.destination IS NOT OLD.destination AND (NEW.destination <> '' OR NEW.status IN ('queued', 'reconciling')))
  OR (OLD.return_seq IS NOT NULL AND NEW.return_seq IS NOT OLD.return_seq)
  OR (NEW.status <> OLD.status AND NOT CASE OLD.status
        WHEN 'queued' THEN 1
        WHEN 'reconciling' THEN NEW.status IN ('paid', 'failed')
        ELSE 0 END)
BEGIN SELECT RAISE(ABORT, 'payout: not a legal move'); END;
CREATE TRIGGER payout_new BEFORE INSERT ON payout
WHEN NEW.status <> 'queued' OR NEW.sendings > 0 OR EXISTS (
  SELECT 1 FROM payout WHERE id = NEW.id OR group_seq = NEW.group_seq
    OR (account_id = NEW.account_id AND status IN ('queued', 'reconciling')))
BEGIN SELECT RAISE(ABORT, 'payout: not a new one'); END;
CREATE TRIGGER payout_no_delete BEFORE DELETE ON payout
BEGIN SELECT RAISE(ABORT, 'payout: payouts are kept'); END;

CREATE TRIGGER track_change_new BEFORE INSERT ON track_change
WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM track_change)
BEGIN SELECT RAISE(ABORT, 'track_change: not the next'); END;
CREATE TRIGGER track_change_no_update BEFORE UPDATE ON track_change
BEGIN SELECT RAISE(ABORT, 'track_change: changes are append-only'); END;
CREATE TRIGGER track_change_no_delete BEFORE DELETE ON track_change
BEGIN SELECT RAISE(ABORT, 'track_change: changes are append-only'); END;

CREATE TRIGGER program_in_order BEFORE INSERT ON program
WHEN NEW.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM program WHERE project_id = NEW.project_id)
BEGIN SELECT RAISE(ABORT, 'program: not the next version'); END;
CREATE TRIGGER program_no_update BEFORE UPDATE ON program
BEGIN SELECT RAISE(ABORT, 'program: versions are append-only'); END;
CREATE TRIGGER program_no_delete BEFORE DELETE ON program
BEGIN SELECT RAISE(ABORT, 'program: versions are append-only'); END;
