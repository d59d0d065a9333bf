"""What a firm has already: streams, stores, brokers and a second engine, behind the verbs of the floor."""

from .reports import (
    ReportFile as ReportFile,
)
from .marks import (
    Marks as Marks,
)
from .streams import (
    StreamStatistics as StreamStatistics,
)
from .redis_feed import (
    RedisFeed as RedisFeed,
)
from .redis_publisher import (
    RedisPublisher as RedisPublisher,
)
from .rabbit_feed import (
    RabbitFeed as RabbitFeed,
)
from .rabbit_publisher import (
    RabbitPublisher as RabbitPublisher,
)
from .kafka_feed import (
    KafkaFeed as KafkaFeed,
)
from .kafka_publisher import (
    KafkaPublisher as KafkaPublisher,
)
from .postgres import (
    PostgresStore as PostgresStore,
    schema_of as schema_of,
    store_of as store_of,
)
from .recorder import (
    RecordedFeed as RecordedFeed,
    Recorder as Recorder,
    read_events as read_events,
    record_fills as record_fills,
)
from .queries import (
    QUERIES as QUERIES,
)
from .environment import (
    NautilusEnvironment as NautilusEnvironment,
    build_environment as build_environment,
    find_environment as find_environment,
)
from .nautilus import (
    NautilusBackend as NautilusBackend,
)
from .reconcile import (
    EngineReconciliation as EngineReconciliation,
    reconcile_engines as reconcile_engines,
)
from .alpaca_line import (
    LIVE_URL as LIVE_URL,
    PAPER_URL as PAPER_URL,
)
from .alpaca import (
    AlpacaStatistics as AlpacaStatistics,
    AlpacaVenue as AlpacaVenue,
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
