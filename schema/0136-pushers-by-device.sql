-- Every logout looks for the pushers of its device.
CREATE INDEX pushers_by_device ON pushers (device);
