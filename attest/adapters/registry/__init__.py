"""Registries: OCI distribution-spec v1.1, over urllib3 for reading and oras for pushing.

settings      what a command says: timeouts, authorities, plain http, credentials, token hosts
url           where requests go, and what is the same place        addresses   where they may not lead
connections   sockets that keep the time of a response             transport   one exchange, all errors mapped
retry         when it is sent again                                client      with credentials and redirects
challenge     WWW-Authenticate        credentials   docker's       auth        tokens, and whom they are asked of
repository    manifests and blobs, checked                         listing     what is attached to a digest
crew          requests in parallel    budget        how much       reader      an image and all its evidence
oras_push     oras under these rules                               publishing  push, make visible, read back
streaming     layers, in ranges       uploading   and as a stream       copying     both ends of a copy
reports       test reports, kept under tags beside their image
store         all of it, as `attest.ports.Store`
"""

from attest.adapters.registry.settings import Access, RegistrySettings, docker_config_folder
from attest.adapters.registry.store import RegistryStore

__all__ = ["Access", "RegistrySettings", "RegistryStore", "docker_config_folder"]
