"""Which patient a study is of, by a pseudonym."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; studies from before are of nobody who can be asked for."""
    op.add_column("analyses", sa.Column("patient", sa.String(64), nullable=True))
    op.create_index("ix_analyses_patient", "analyses", ["patient"])


def downgrade() -> None:
    """Drop the column, and with it whose studies they are."""
    op.drop_index("ix_analyses_patient", "analyses")
    op.drop_column("analyses", "patient")
