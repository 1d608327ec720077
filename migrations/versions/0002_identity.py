"""Identity: tenants, users, what they may do, sign-ins and their tokens; and the browser sessions of the workstation's BFF.

Secrets are kept as hashes only: passwords by Argon2, codes, refresh tokens and cookies (random already) by SHA-256. Tokens
that the BFF must be able to send again are encrypted with a key that is not in the database.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

IDENTITY = {
    "tenants": """
        tenant       text not null primary key,
        name         text not null,
        active       boolean not null default true
    """,
    # not_before: microseconds; tokens issued up to then are dead (disabled, or signed out everywhere).
    "users": """
        tenant        text not null references identity.tenants (tenant),
        user_id       text not null,
        name          text not null,
        display_name  text not null,
        desk          text not null default '',
        password_hash text not null,
        disabled      boolean not null default false,
        not_before    bigint not null default 0,
        created_at    bigint not null,
        primary key (tenant, user_id),
        unique (tenant, name)
    """,
    "user_roles": """
        tenant   text not null,
        user_id  text not null,
        role     text not null,
        primary key (tenant, user_id, role),
        foreign key (tenant, user_id) references identity.users (tenant, user_id) on delete cascade
    """,
    # instrument_ids null: all instruments of the asset classes. Money in USD.
    "user_entitlements": """
        tenant          text not null,
        user_id         text not null,
        asset_classes   text[] not null default '{}',
        instrument_ids  text[],
        venue_ids       text[] not null default '{}',
        max_notional    numeric not null default 0 check (max_notional >= 0),
        rfq_per_minute  integer not null default 0 check (rfq_per_minute >= 0),
        primary key (tenant, user_id),
        foreign key (tenant, user_id) references identity.users (tenant, user_id) on delete cascade
    """,
    # One sign-in: the family of all tokens that come from it.
    "sign_ins": """
        tenant      text not null,
        session_id  text not null,
        user_id     text not null,
        client_id   text not null,
        scope       text not null,
        auth_time   bigint not null,
        expires_at  bigint not null,
        ended_at    bigint,
        end_reason  text,
        primary key (tenant, session_id),
        foreign key (tenant, user_id) references identity.users (tenant, user_id) on delete cascade
    """,
    "refresh_tokens": """
        tenant      text not null,
        token_hash  bytea not null,
        session_id  text not null,
        issued_at   bigint not null,
        used_at     bigint,
        primary key (tenant, token_hash),
        foreign key (tenant, session_id) references identity.sign_ins (tenant, session_id) on delete cascade
    """,
    # session_id is set when the code is used; a second use ends that session.
    "codes": """
        tenant          text not null,
        code_hash       bytea not null,
        user_id         text not null,
        client_id       text not null,
        redirect_uri    text not null,
        scope           text not null,
        nonce           text not null,
        challenge       text not null,
        auth_time       bigint not null,
        expires_at      bigint not null,
        session_id      text,
        primary key (tenant, code_hash),
        foreign key (tenant, user_id) references identity.users (tenant, user_id) on delete cascade
    """,
    # Exactly one of session_id and user_id is set.
    "revocations": """
        tenant         text not null,
        revocation_id  bigint generated always as identity,
        session_id     text,
        user_id        text,
        at             bigint not null,
        primary key (tenant, revocation_id),
        check ((session_id is null) <> (user_id is null))
    """,
    # Events that were decided with the rows above and wait for the log. `sequence` is set before an event goes out, so that after
    # a crash between the log and this table it can be told whether it went.
    "outbox": """
        tenant       text not null,
        event_no     bigint generated always as identity,
        entity_id    text not null,
        event_type   text not null,
        body         bytea not null,
        sequence     bigint,
        primary key (tenant, event_no)
    """,
    # Counters of failed sign-ins by (name, address), name and address. Written under the tenant `identity`: a name that is
    # typed may belong to nobody, and only the hash of what is counted is kept.
    "login_failures": """
        tenant        text not null,
        counter       bytea not null,
        failures      integer not null,
        first_at      bigint not null,
        paused_until  bigint not null default 0,
        primary key (tenant, counter)
    """,
}

# Of several processes that want to renew a session's tokens at once, the one that sets renewing_until does it: a refresh token
# works once.
SESSIONS = """
    tenant          text not null,
    cookie_hash     bytea not null,
    session_id      text not null,
    subject         text not null,
    user_name       text not null,
    created_at      bigint not null,
    last_used_at    bigint not null,
    expires_at      bigint not null,
    tokens          bytea not null,
    tokens_version  integer not null default 1,
    renewing_until  bigint not null default 0,
    ended_at        bigint,
    end_reason      text,
    primary key (tenant, cookie_hash)
"""


def upgrade() -> None:
    op.execute("create schema if not exists identity")
    op.execute("grant usage on schema identity to orion_writer")
    for name, columns in IDENTITY.items():
        op.execute(f"create table identity.{name} ({columns})")
        op.execute(f"select platform.protect('identity.{name}')")
        # Hashes and sessions are nobody's to read, not even their own tenant's.
        op.execute(f"revoke all on identity.{name} from orion_reader")
    op.execute("create index sign_ins_of_user on identity.sign_ins (tenant, user_id) where ended_at is null")
    op.execute("create index codes_end on identity.codes (expires_at)")
    op.execute("create index sign_ins_end on identity.sign_ins (expires_at)")
    op.execute("create index outbox_order on identity.outbox (event_no)")
    op.execute("create index revocations_newest on identity.revocations (at)")
    op.execute("create schema if not exists bff_workstation")
    op.execute("grant usage on schema bff_workstation to orion_writer")
    op.execute(f"create table bff_workstation.sessions ({SESSIONS})")
    op.execute("select platform.protect('bff_workstation.sessions')")
    op.execute("revoke all on bff_workstation.sessions from orion_reader")
    op.execute("create index sessions_by_sign_in on bff_workstation.sessions (session_id) where ended_at is null")
    op.execute("create index sessions_end on bff_workstation.sessions (expires_at)")


def downgrade() -> None:
    op.execute("drop table bff_workstation.sessions")
    op.execute("drop schema identity cascade")
