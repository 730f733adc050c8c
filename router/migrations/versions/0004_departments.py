"""Which department a study belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; studies from before belong to nobody."""
    op.add_column("analyses", sa.Column("department", sa.String(), nullable=True))
    op.create_index("ix_analyses_department", "analyses", ["department"])


def downgrade() -> None:
    """Drop the column, and with it who may see what."""
    op.drop_index("ix_analyses_department", "analyses")
    op.drop_column("analyses", "department")
