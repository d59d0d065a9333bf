"""What a firm has already: streams, stores, brokers and a second engine, behind the verbs of the floor."""

from .reports import (
    ReportFile as ReportFile,
)
from .marks import (
    Marks as Marks,
)
from .fix_messages import (
    FixFault as FixFault,
    FixMessage as FixMessage,
    FixReader as FixReader,
    write_fix as write_fix,
)
from .fix_file import (
    FixFile as FixFile,
)
from .fix_session import (
    FixSession as FixSession,
)
from .fix_line import (
    FixLine as FixLine,
)
from .fix_book import (
    FixBook as FixBook,
    FixOrder as FixOrder,
    FixTold as FixTold,
)
from .fix_venue import (
    FixVenue as FixVenue,
)
from .fix_acceptor import (
    FixAcceptor as FixAcceptor,
)
