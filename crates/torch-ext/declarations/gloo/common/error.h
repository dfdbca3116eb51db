// Included by c10d's header, which uses nothing of it. docs/adr/0006 says what these files are.
#pragma once
