"""
The shop as three processes: the front takes orders, invoicing writes invoices, and shipping packs parcels.

They talk through a NATS server. ``python -m examples.shop_nats`` starts them, kills them and the server at random
with SIGKILL, and shows that each order has one invoice and one parcel.
"""
