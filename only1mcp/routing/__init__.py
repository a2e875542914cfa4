"""[4] Where a message goes. Pure: no IO, no clock."""
