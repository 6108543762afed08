"""Notebooks become a production model, and every step on the way is proven to be the same thing.

Modules:

- `casebook.alerts.compare`: Measure incidents announced, time gained and false alarms a week, beside the detectors that teams have.
- `casebook.alerts.simulator`: Make hourly metrics as TimeEval's generator composes them: a base oscillation, noise, and labelled anomalies of four kinds.
- `casebook.fraud.compare`: Measure the model beside the handbook's own features and models on the same test week, by transactions and by cards.
- `casebook.fraud.data`: Read card transactions, refuse what cannot be, say when each fraud became known, and split as the field does: a week to learn, a week of waiting, a week to be tested.
- `casebook.fraud.features`: Compare a payment with its customer's and its terminal's past, as it was known at that moment.
- `casebook.fraud.simulator`: Make card transactions by the recipe of the fraud detection handbook, with late and broken rows and drift, for any number of customers and days.
- `casebook.maintenance.data`: Read a machine's raw sensor files from any plant, unify them, quarantine what is impossible, and split without leaking a machine.
- `casebook.maintenance.features`: Turn raw readings into the quantities that the machine's failures depend on, as plain functions of floats or arrays.
- `casebook.maintenance.simulator`: Make raw files as AI4I's published process would, with machines, clocks, late arrivals, losses and drift, at any number of rows.
- `casebook.model.explain`: Attribute each score to the inputs by exact Shapley values, check that they add up, and look at the worst errors.
- `casebook.model.release`: Turn model, features and schema into a wheel that needs nothing else, and check it bit by bit where nothing else is installed.
- `casebook.model.train`: Fit gradient-boosted trees, decide by costs, measure on rows never seen, and register the model as challenger.
- `casebook.recommendation.compare`: Measure the order of films beside popularity, item-kNN and PureSVD on the same questions, over the whole catalogue.
- `casebook.recommendation.data`: Read film ratings and the catalogue, ask at some moments which films a person will like next, split by time, and fit what is known of films beforehand.
- `casebook.recommendation.features`: Compare a film with what a person rated before, and with what everybody rates now.
- `casebook.recommendation.simulator`: Make film ratings by tastes, popularity and chance, with new films, late and broken rows and drift, for any number of people and films.
- `casebook.shared.clock`: Turn the time of a row, in days since 1970-01-01 UTC, into the hour, the night and the weekend, for every case whose rows have a time."""
